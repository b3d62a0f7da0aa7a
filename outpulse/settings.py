"""One frozen record of settings, read once and passed on.

Order, last wins: defaults, `outpulse.toml` in the home (or `--config`), environment. A setting `[a.b] c` is overridden by
`OUTPULSE_A__B__C`; lists and maps there are JSON.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from schemas.failures import SettingsError

DEFAULT_HOME: Final = Path(".outpulse")
_NOT_SETTINGS: Final = frozenset({"OUTPULSE_HOME", "OUTPULSE_CONFIG"})


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`: where it listens and what it takes. `token` is the bearer of /events, /hooks, /feedback, /control.

    `public_url` is where providers reach it, as `outpulse provider` shows it.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    public_url: str = ""
    max_webhook_bytes: int = 10 * 2**20
    max_inbound_bytes: int = 40 * 2**20
    max_events_bytes: int = 40 * 2**20


class DashboardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[dashboard]`: where the Streamlit pages are served, and who may do what.

    With `login` people log in by the OpenID provider that HOME/dashboard-login.toml names; those whose address is among
    `operators` may pause, resume and correct, those among `viewers` (addresses, `@example.com`, or `*` for all) look, others
    see nothing. Without it the pages are for this machine alone.
    """

    host: str = "127.0.0.1"
    port: int = 8501
    login: bool = False
    operators: list[str] = []
    viewers: list[str] = []


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[log]`: partitions of new streams and retention in days per stream (`raw` 35; 0 keeps for ever)."""

    partitions: int = 1
    retention_days: dict[str, float] = msgspec.field(
        default_factory=lambda: {"raw": 35.0, "events": 35.0, "replies": 35.0, "results": 35.0, "deadletter": 35.0}
    )


class LakeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[lake]`: memory and threads of the writer, its pace, and its upkeep.

    `chunk_events` is what one transaction lands at most: larger costs memory, smaller costs time.
    `commit_seconds` is the shortest pause between two commits of a slow stream; `derive_share` the most of the writer's
    time that figures per delivery may take while input waits; `keep_snapshots_minutes` how long a reader may hold one.
    """

    memory_limit: str = "300MB"
    threads: int = 2
    commit_seconds: float = 0.4
    chunk_events: int = 65_536
    derive_share: float = 0.05
    maintain_seconds: float = 60.0
    keep_snapshots_minutes: float = 10.0


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[providers.NAME]`: secrets as lists, for rotation; each provider reads its own (see `outpulse provider NAME`)."""

    public_keys: list[str] = []
    inbound_public_keys: list[str] = []
    signing_keys: list[str] = []
    signing_secrets: list[str] = []
    inbound_signing_secrets: list[str] = []
    webhook_keys: list[str] = []
    url: str = ""
    topic_arns: list[str] = []
    signing_certs: dict[str, str] = {}
    basic_auth: list[str] = []
    bearer_tokens: list[str] = []
    headers: dict[str, str] = {}
    insecure: bool = False

    def __repr__(self) -> str:
        """Stars, never a secret."""
        return "ProviderSettings(***)"


class HookSettings(ProviderSettings, frozen=True, forbid_unknown_fields=True):
    """`[hooks.NAME]`: the mapping file (from the home on) and the proof of one tool; else `[gateway] token` is the proof."""

    mapping: str = ""

    def __repr__(self) -> str:
        """Stars, never a secret."""
        return "HookSettings(***)"


class MailboxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[mailbox]`, and `[mailboxes.NAME]` for more of them: an IMAP folder whose new mails are replies and reports.

    `tls` is true (from the first byte), "starttls" or "none" (only to this machine); `auth` is "login" or "xoauth2", where
    the password is the access token. `password_file` and `ca_file` count from the home on; the former is read anew at
    each connection. `since_days` bounds how old a mail may be at first sight, 0 takes all; `idle_seconds` is the longest
    wait for the server to tell of a new mail, `poll_seconds` the pause between looks where it cannot. Mails are marked as
    read only with `mark_seen`.
    """

    host: str = ""
    port: int = 993
    tls: bool | str = True
    user: str = ""
    password: str = ""
    password_file: str = ""
    auth: str = "login"
    folder: str = "INBOX"
    ca_file: str = ""
    since_days: float = 0.0
    idle_seconds: float = 540.0
    poll_seconds: float = 60.0
    mark_seen: bool = False

    def __repr__(self) -> str:
        """Stars, never a secret."""
        return f"MailboxSettings({self.host}:{self.port}, ***)"


AlertKind = Literal["warn", "slow", "pause", "resume", "notice"]
_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


class AlertTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[alerts.targets.NAME]`: an Apprise URL, and what goes there.

    `severity` is the least that is told, `kinds` what is told (none named: all; `notice` is what other parts tell). In
    `quiet` hours, such as "22:00-07:00" on the clocks of `time_zone`, all but what is critical waits.
    """

    url: str
    severity: Literal["info", "warning", "critical"] = "info"
    kinds: list[AlertKind] = []
    quiet: str = ""
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if not self.url:
            raise ValueError('`url` is empty, valid is an Apprise URL such as "mailto://user:password@example.com"')
        hours = _QUIET.fullmatch(self.quiet)
        if self.quiet and (hours is None or hours.group(1, 2) == hours.group(3, 4)):
            raise ValueError(f'`quiet` is {self.quiet[:40]!r}, valid are two times of day such as "22:00-07:00"')
        try:
            ZoneInfo(self.time_zone)
        except (OSError, ValueError, LookupError):
            found = self.time_zone[:40]
            raise ValueError(f'`time_zone` is {found!r}, valid are names such as "Europe/Berlin"') from None

    def __repr__(self) -> str:
        """Stars, never a secret."""
        return "AlertTarget(***)"


class AlertsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[alerts]`: who is told of what the guard or a person decided, and how often.

    The same again within `repeat_minutes` is told once, with a count; more than `flood_alerts` in `flood_minutes` become
    one summary. What could not be sent is tried again after each of `retry_seconds` (4 hours in all: a night's outage of
    a mail server), then given up. A target that does not answer within `timeout_seconds` has failed.
    """

    repeat_minutes: float = 60.0
    flood_alerts: int = 10
    flood_minutes: float = 5.0
    retry_seconds: tuple[float, ...] = (10.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0)
    timeout_seconds: float = 20.0
    targets: dict[str, AlertTarget] = {}

    def __post_init__(self) -> None:
        if self.flood_alerts < 1 or self.timeout_seconds <= 0:
            raise ValueError("`flood_alerts` and `timeout_seconds` must be above 0")
        if min((self.repeat_minutes, self.flood_minutes, *self.retry_seconds)) < 0:
            raise ValueError("`repeat_minutes`, `flood_minutes` and `retry_seconds` must not be below 0")


_LONGEST_HOURS: Final = 8760


class GuardSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[guard]`: rules that are `off`, other `tolerances` by the rule's name (rates above 0, below 1).

    `scopes` holds tolerances of single scopes, such as `"campaign:autumn" = {bounces = 0.08}`; they hold inside them too.
    `alpha` is the probability at most that a rule ever pauses any healthy scope; `slow_share` what a slowed scope may
    still send, 0..1; `probation_after_hours` in event time after which what the guard paused goes on with a twentieth of its
    mail, judged anew (0: never by itself); `replay` whether replayed files are watched too (with `--live` they always are).
    """

    off: list[str] = []
    tolerances: dict[str, float] = {}
    scopes: dict[str, dict[str, float]] = {}
    alpha: float = 0.01
    slow_share: float = 0.25
    replay: bool = True
    probation_after_hours: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.probation_after_hours <= _LONGEST_HOURS:
            raise ValueError(f"`probation_after_hours` is valid from 0 to {_LONGEST_HOURS}")
        special = [rate for rates in self.scopes.values() for rate in rates.values()]
        if not all(0 < rate < 1 for rate in (self.alpha, self.slow_share, *self.tolerances.values(), *special)):
            raise ValueError("`alpha`, `slow_share`, `tolerances` and those of `scopes` are rates above 0 and below 1")


class LlmSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[replies.llm]`: a larger model that is asked about replies ours is unsure of; none is asked without a `url`.

    `url` is the root of an OpenAI-compatible API, such as "http://127.0.0.1:8000/v1"; the words of those replies are sent there.
    An answer that takes longer than `timeout` seconds is done without.
    """

    url: str = ""
    model: str = ""
    api_key: str = ""
    timeout: float = 20.0

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("`url` is no address, valid is one that begins with http:// or https://")
        if self.timeout <= 0:
            raise ValueError("`timeout` must be above 0")

    def __repr__(self) -> str:
        """Stars, never a secret."""
        return "LlmSettings(***)"


class RepliesSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[replies]`: how replies are understood."""

    llm: LlmSettings = LlmSettings()


_LONGEST_MINUTES: Final = 10_080
_LONGEST_DAYS: Final = 36_500


class SqlSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[sql]`: `outpulse serve-sql`, on this machine alone. Without `password` one is made and kept in the home.

    A statement may take `seconds`, `memory_mib` of DuckDB's memory and `rows`; `statements` run at the same time.
    """

    port: int = 5433
    password: str = ""
    seconds: float = 30.0
    memory_mib: int = 512
    rows: int = 1_000_000
    statements: int = 2

    def __post_init__(self) -> None:
        if self.seconds <= 0 or min(self.memory_mib, self.rows, self.statements) < 1:
            raise ValueError("`seconds`, `memory_mib`, `rows` and `statements` must be above 0")

    def __repr__(self) -> str:
        """Without the password."""
        return f"SqlSettings(port={self.port})"


class QualitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[quality]`: `outpulse up` checks the landed tables every `every_minutes` (0: never), as `outpulse check` does.

    Data are stale when nothing has landed for `stale_hours`. Outcomes stay in table `data_quality` for `keep_days`.
    """

    every_minutes: float = 60.0
    stale_hours: float = 72.0
    keep_days: float = 90.0

    def __post_init__(self) -> None:
        if not 0 <= self.every_minutes <= _LONGEST_MINUTES:
            raise ValueError(f"`every_minutes` is valid from 0 to {_LONGEST_MINUTES}, a week")
        if self.stale_hours <= 0:
            raise ValueError("`stale_hours` must be above 0")
        if not 1 <= self.keep_days <= _LONGEST_DAYS:  # alerts look back to the begin of the day
            raise ValueError(f"`keep_days` is valid from 1 to {_LONGEST_DAYS}, a century")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    gateway: GatewaySettings = GatewaySettings()
    dashboard: DashboardSettings = DashboardSettings()
    log: LogSettings = msgspec.field(default_factory=LogSettings)
    lake: LakeSettings = LakeSettings()
    guard: GuardSettings = msgspec.field(default_factory=GuardSettings)
    quality: QualitySettings = QualitySettings()
    sql: SqlSettings = SqlSettings()
    providers: dict[str, ProviderSettings] = {}
    hooks: dict[str, HookSettings] = {}
    mailbox: MailboxSettings = MailboxSettings()
    mailboxes: dict[str, MailboxSettings] = {}
    alerts: AlertsSettings = AlertsSettings()
    replies: RepliesSettings = RepliesSettings()

    def all_mailboxes(self) -> dict[str, MailboxSettings]:
        """The mailboxes that are set, by the section of their settings (`mailbox`, `mailboxes.NAME`)."""
        found = {"mailbox": self.mailbox} | {f"mailboxes.{name}": box for name, box in self.mailboxes.items()}
        return {section: box for section, box in found.items() if box != MailboxSettings()}

    def __repr__(self) -> str:
        """Without tokens and secrets."""
        return f"Settings(gateway={self.gateway.host}:{self.gateway.port}, providers={sorted(self.providers)})"


def load(home: Path, config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of a home folder.

    Raises:
        SettingsError: names the file or variable, what was received and what is valid.
    """
    environ = os.environ if environ is None else environ
    path = config or home / "outpulse.toml"
    tree: dict[str, Any] = {}
    if path.exists():
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is not valid TOML: {error}") from None
        except OSError as error:
            raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    elif config is not None:
        raise SettingsError(f"{path} does not exist; leave out --config or create it")
    for name, value in sorted(environ.items()):
        if name.startswith("OUTPULSE_") and "__" in name and name not in _NOT_SETTINGS:
            _put(tree, name.removeprefix("OUTPULSE_").lower().split("__"), value)
    try:
        return msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"setting in {path} or an OUTPULSE_ variable: {_explained(error, tree)}") from None


_UNKNOWN: Final = re.compile(r"contains unknown field `([^`]*)`")
_AT: Final = re.compile(r" - at `\$([^`]*)`")
_TABLES: Final[Mapping[str, type[msgspec.Struct]]] = {
    "gateway": GatewaySettings,
    "dashboard": DashboardSettings,
    "log": LogSettings,
    "lake": LakeSettings,
    "quality": QualitySettings,
    "mailbox": MailboxSettings,
    "alerts": AlertsSettings,
    "replies": RepliesSettings,
}


def _explained(error: msgspec.ValidationError, tree: Mapping[str, Any]) -> str:
    """The first fault by the setting's name as one would write it, with what is valid; values are not shown."""
    for keys, table, kind in _parts(tree):
        try:
            msgspec.convert(table, kind, strict=False)
        except msgspec.ValidationError as fault:
            return _told(keys, str(fault), kind)
    return _told([], str(error), Settings)


def _parts(tree: Mapping[str, Any]) -> Iterator[tuple[list[str], Any, type[msgspec.Struct]]]:
    alerts = tree.get("alerts")
    targets = alerts.get("targets") if isinstance(alerts, dict) else None
    replies = tree.get("replies")
    if isinstance(replies, dict) and "llm" in replies:
        yield ["replies", "llm"], replies["llm"], LlmSettings
    for name, table in targets.items() if isinstance(targets, dict) else ():
        yield ["alerts", "targets", name], table, AlertTarget
    for name, kind in _TABLES.items():
        if name in tree:
            yield [name], tree[name], kind
    for section, kind in (("providers", ProviderSettings), ("hooks", HookSettings), ("mailboxes", MailboxSettings)):
        tables = tree.get(section)
        for name, table in tables.items() if isinstance(tables, dict) else ():
            yield [section, name], table, kind


def _told(keys: list[str], fault: str, kind: type[msgspec.Struct]) -> str:
    unknown = _UNKNOWN.search(fault)
    if unknown:
        return f"{_bracketed(keys)}{unknown[1]}; valid are {', '.join(kind.__struct_fields__)}"
    at = _AT.search(fault)
    inner = [key for key in re.split(r"[.\[]", at[1] if at else "") if key and not key.endswith("]")]
    keys = [*keys, *inner[:1]]
    variable = "OUTPULSE_" + "__".join(key.upper() for key in keys)
    return f"{_bracketed(keys[:-1])}{keys[-1] if keys else 'settings'} (or {variable}): {_AT.sub('', fault)}"


def _bracketed(keys: list[str]) -> str:
    return f"[{'.'.join(keys)}] " if keys else ""


def _put(tree: dict[str, Any], keys: list[str], text: str) -> None:
    """Sets one leaf; text that starts as JSON does is read as JSON."""
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"OUTPULSE_{'__'.join(keys).upper()} sets a table, but {key} is a value elsewhere")
    value: Any = text
    if text.startswith(("[", "{")):
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise SettingsError(f"OUTPULSE_{'__'.join(keys).upper()} is not valid JSON: {error}") from None
    tree[keys[-1]] = value


def provider_settings(tree: Mapping[str, Any]) -> ProviderSettings:
    """One provider's settings from a JSON object (as `--secrets` takes them).

    Raises:
        SettingsError: an unknown setting or a wrong type.
    """
    try:
        return msgspec.convert(dict(tree), ProviderSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"provider settings: {error}") from None
