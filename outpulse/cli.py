"""The command line: each verb says what it needs and hands over; errors are one clear line and a non-zero exit."""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from outpulse.home import Home, open_home
from schemas.failures import OutpulseError

Verb = Callable[..., int | None]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="outpulse")
def cli() -> None:
    """Outpulse: the streaming brain of outbound sales campaigns."""


def verb(name: str) -> Callable[[Verb], Verb]:
    """Registers a verb with the options that every verb has; the function gets a `Home` first."""

    def register(function: Verb) -> Verb:
        @wraps(function)
        def run(home: str | None, config: str | None, debug: bool, **options: Any) -> None:  # noqa: ANN401, FBT001
            level = logging.DEBUG if debug else logging.WARNING
            logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
            try:
                sys.exit(function(open_home(home, config), **options) or 0)
            except OutpulseError as error:
                if debug:
                    raise
                click.echo(f"outpulse {name}: {error}", err=True)
                sys.exit(1)
            except OSError as error:
                if debug:
                    raise
                place = f" ({error.filename})" if error.filename else ""
                click.echo(f"outpulse {name}: {error.strerror or error}{place}", err=True)
                sys.exit(1)
            except Exception as error:  # the last resort: a line that can be read, and how to learn more
                if debug:
                    raise
                what = " ".join(str(error).split())[:300] or "no text"
                click.echo(f"outpulse {name}: {type(error).__name__}: {what} (--debug shows where)", err=True)
                sys.exit(1)

        command = cli.command(name)(run)
        for option in (
            click.Option(
                ["--home"], metavar="DIR", help="Folder of log, lake and state [$OUTPULSE_HOME, else ./.outpulse]."
            ),
            click.Option(["--config"], metavar="FILE", help="Settings file [HOME/outpulse.toml]."),
            click.Option(["--debug"], is_flag=True, help="Show tracebacks and debug logs."),
        ):
            command.params.append(option)
        return function

    return register


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON array of objects on stdout, nothing else.")


@verb("demo")
@click.option("--days", default=7, show_default=True, help="Days of the simulated world; they end now.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same world.")
@click.option("--headless", is_flag=True, help="End by itself: print world beside lake, exit 1 unless they agree.")
@json_option
def demo(home: Home, days: int, seed: int, headless: bool, as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Run the whole system on a simulated world."""
    from outpulse.demo import run_demo

    return run_demo(home, days=days, seed=seed, headless=headless, as_json=as_json)


@verb("up")
@click.option("--no-dashboard", is_flag=True, help="Leave the dashboard out.")
def up(home: Home, no_dashboard: bool) -> int:  # noqa: FBT001 - a flag
    """Run gateway, flows and dashboard until Ctrl-C; what dies is restarted."""
    from outpulse.supervise import run_up

    return run_up(home, dashboard=not no_dashboard)


@verb("gateway")
@click.option("--port", type=int, help="Listen here instead of [gateway] port.")
@click.option("--demo", is_flag=True, hidden=True)
def gateway(home: Home, port: int | None, demo: bool) -> int:  # noqa: FBT001 - a flag
    """Take webhooks and events over HTTP."""
    from outpulse.parts import run_gateway

    return run_gateway(home, port=port, demo=demo)


@verb("flows")
@click.argument("names", nargs=-1)
@click.option("--rebuild", is_flag=True, help="Derive the facts that came from retained raw requests anew, then end.")
@click.option("--since", help="With --rebuild: only requests received from this time on (RFC 3339).")
@click.option("--drain", is_flag=True, help="End when nothing waits in the log.")
def flows(home: Home, names: tuple[str, ...], rebuild: bool, since: str | None, drain: bool) -> int:  # noqa: FBT001
    """Run the dataflows (all, or those named)."""
    from outpulse.parts import run_flows_part, run_rebuild

    if rebuild:
        return run_rebuild(home, since)
    return run_flows_part(home, names, follow=not drain)


@verb("mailbox")
@click.option("--once", is_flag=True, help="Fetch what is there, then end.")
def mailbox(home: Home, once: bool) -> int:  # noqa: FBT001 - a flag
    """Fetch replies and reports by IMAP from the mailboxes of the settings, as they come."""
    from outpulse.mailboxes import run_mailbox

    return run_mailbox(home, once=once)


@verb("alerts")
def alerts(home: Home) -> int:
    """Tell people what the guard and others decided, through the targets of the settings, as it comes."""
    from outpulse.alerting import run_alerts

    return run_alerts(home)


@verb("alert")
@click.argument("what", type=click.Choice(["test"]))
def alert(home: Home, what: str) -> int:
    """Try the targets of alerts: `alert test` sends one to each."""
    from outpulse.alerting import run_alert_test

    del what
    return run_alert_test(home)


@verb("dashboard")
@click.option("--port", type=int, help="Serve here instead of [dashboard] port.")
def dashboard(home: Home, port: int | None) -> int:
    """Serve the dashboard."""
    from outpulse.parts import run_dashboard

    return run_dashboard(home, port=port)


@verb("replay")
@click.argument("files", nargs=-1, required=True)
@click.option("--speed", default="max", show_default=True, help="max, 1x, 60x …: event time per real time.")
@click.option("--live", is_flag=True, help="Send what the guard decides to the control stream, as if it happened now.")
def replay(home: Home, files: tuple[str, ...], speed: str, live: bool) -> int:  # noqa: FBT001 - a flag
    """Land files of canonical events (- for standard input) through the real flows."""
    from outpulse.replaying import run_replay_verb

    return run_replay_verb(home, files, speed, live=live)


@verb("import")
@click.argument("kind")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--provider", help="Whose export it is [told by its columns or keys].")
@click.option("--mapping", type=click.Path(path_type=Path), help="Mapping file, for what no provider here exports.")
@click.option("--campaign-id", help="The campaign of events that name none.")
@click.option("--time-zone", default="UTC", show_default=True, help="The zone of times that name none.")
def import_files(
    home: Home,
    kind: str,
    files: tuple[Path, ...],
    provider: str | None,
    mapping: Path | None,
    campaign_id: str | None,
    time_zone: str,
) -> int:
    """Land what providers export as history (KIND events), or lists: contacts, campaigns, messages."""
    from outpulse.importing import Options, run_import

    options = Options(provider=provider, mapping=mapping, campaign_id=campaign_id, time_zone=time_zone)
    return run_import(home, kind, files, options)


@verb("normalize")
@click.argument("provider")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--secrets", type=click.Path(path_type=Path), help="JSON of the provider's settings: check the proof too."
)
def normalize(home: Home, provider: str, files: tuple[Path, ...], secrets: Path | None) -> int:
    """Put recorded webhook requests through a provider's adapter; NDJSON on stdout."""
    from outpulse.normalizing import run_normalize

    del home
    return run_normalize(provider, files, secrets)


@verb("sql")
@click.argument("query", required=False)
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), help="[table on a terminal, else csv]")
@click.option("--write", is_flag=True, help="Let the query change the lake.")
def sql(home: Home, query: str | None, form: str | None, write: bool) -> int:  # noqa: FBT001 - a flag
    """Query the lake; without a query, a prompt."""
    from outpulse.querying import run_sql

    return run_sql(home, query, form, write=write)


@verb("serve-sql")
@click.option("--port", type=int, help="Port on this machine [setting, else 5433].")
def serve_sql(home: Home, port: int | None) -> int:
    """Serve the lake to BI tools, read-only, by PostgreSQL's protocol."""
    from outpulse.sql_server import run_sql_server

    return run_sql_server(home, port=port)


who_option = click.option("--by", help="Who decides [the user's name of the system].")


@verb("pauses")
@click.option("--all", "every", is_flag=True, help="Every decision, not only what holds.")
@json_option
def pauses(home: Home, every: bool, as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Show what is paused or slowed down now, and why."""
    from outpulse.pausing import run_pauses

    return run_pauses(home, every=every, as_json=as_json)


@verb("pause")
@click.argument("scope")
@click.option("--why", required=True, help="The reason in words.")
@click.option("--share", default=0.0, show_default=True, help="Share of messages still sent, 0 to below 1.")
@who_option
def pause(home: Home, scope: str, why: str, share: float, by: str | None) -> int:
    """Stop sending in SCOPE, such as campaign:ID or sender:ADDRESS,domain:NAME."""
    from outpulse.pausing import run_pause

    return run_pause(home, scope, why=why, share=share, by=by)


@verb("resume")
@click.argument("scope")
@click.option("--why", required=True, help="The reason in words.")
@click.option(
    "--probation", is_flag=True, help="Let 5% go out; the guard lets it go or stops it again by what they do."
)
@who_option
def resume(home: Home, scope: str, why: str, by: str | None, probation: bool) -> int:  # noqa: FBT001 - a flag
    """End the pause of exactly SCOPE."""
    from outpulse.pausing import run_resume

    return run_resume(home, scope, why=why, by=by, is_probation=probation)


@verb("allowed")
@click.option("--campaign", "campaign_id", required=True, help="The campaign's id.")
@click.option("--sender", required=True, help="Who would send: address, number or profile.")
@click.option("--recipient", required=True, help="Who would get it.")
@click.option("--contact", "contact_id", help="The contact's id.")
@click.option("--step", help="The step of the sequence.")
@click.option("--variant", help="The experiment's variant.")
@click.option("--channel", default="email", show_default=True, help="How it would travel.")
@click.option("--json", "as_json", is_flag=True, help="Said for clearness: it always is JSON.")
def allowed(home: Home, as_json: bool, **asked: str | None) -> int:  # noqa: FBT001 - a flag
    """Tell whether a message may be sent now: one JSON object, exit 0 for yes and 4 for no."""
    from outpulse.pausing import run_allowed

    del as_json
    return run_allowed(home, **asked)


@verb("suppressions")
@click.argument("action", type=click.Choice(["list", "add", "remove", "import", "export"]), default="list")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--contact", help="add, remove: the contact's id.")
@click.option("--recipient", help="add, remove: the address, number or profile.")
@click.option("--channel", default="all", show_default=True, help="add, remove: all, or one channel.")
@click.option("--why", help="add, remove: the reason in words; import: for rows without one.")
@who_option
@json_option
def suppressions(home: Home, action: str, as_json: bool, **options: Any) -> int:  # noqa: ANN401, FBT001 - a flag
    """Show or change who must not be written to; import and export CSV (contact_id, recipient, scope, reason)."""
    from outpulse.suppressing import Options, run_suppressions

    return run_suppressions(home, action, Options(as_json=as_json, **options))


@verb("replies")
@click.argument("action", type=click.Choice(["classify", "learn", "evaluate"]))
@click.argument("file")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="classify: write here [standard output].")
@who_option
@json_option
def replies(home: Home, action: str, file: str, output: Path | None, by: str | None, as_json: bool) -> int:  # noqa: FBT001
    """Understand the replies of FILE (JSON lines, - for standard input), learn from labelled ones, or score on them."""
    if action == "learn":
        from outpulse.teaching import run_learn

        return run_learn(home, file, by=by)
    from outpulse.replying import run_classify, run_evaluate

    return run_classify(home, file, output) if action == "classify" else run_evaluate(home, file, as_json=as_json)


@verb("models")
@click.argument("action", type=click.Choice(["list", "rollback"]), default="list")
@click.argument("version", required=False)
@who_option
@json_option
def models(home: Home, action: str, version: str | None, by: str | None, as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Show the versions of the model that understands replies, or go back to one."""
    from outpulse.teaching import run_models

    return run_models(home, action, version, by=by, as_json=as_json)


@verb("provider")
@click.argument("name")
@json_option
def provider(home: Home, name: str, as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Show what to paste and tick at a provider, and where its secret goes."""
    from outpulse.providing import run_provider

    return run_provider(home, name, as_json=as_json)


@verb("status")
@json_option
def status(home: Home, as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Health and lag of every part."""
    from outpulse.health import run_status

    return run_status(home, as_json=as_json)


@verb("doctor")
@json_option
def doctor(home: Home, as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Check environment and settings; each fault with its mend."""
    from outpulse.health import run_doctor

    return run_doctor(home, as_json=as_json)


@verb("check")
@click.option("--watch", is_flag=True, help="Go on, every [quality] every_minutes, until Ctrl-C.")
@json_option
def check(home: Home, watch: bool, as_json: bool) -> int:  # noqa: FBT001 - flags
    """Check the quality of the landed tables; exit 1 where something does not hold."""
    from outpulse.checking import run_check, watch_quality

    return watch_quality(home) if watch else run_check(home, as_json=as_json)


@verb("maintain")
@click.option("--forget", metavar="CONTACT", help="Erase a person (contact id or address) from log, lake and models.")
@who_option
def maintain(home: Home, forget: str | None, by: str | None) -> int:
    """Compact the lake, expire snapshots and what retention lets go of the log; or forget a person."""
    if forget is not None:
        from outpulse.forgetting import run_forget

        return run_forget(home, forget, by=by)
    from outpulse.parts import run_maintain

    return run_maintain(home)


@verb("backup")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def backup(home: Home, folder: Path) -> int:
    """Copy the home into a new folder, while everything runs."""
    from outpulse.backing_up import run_backup

    return run_backup(home, folder)


@verb("restore")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
def restore(home: Home, folder: Path) -> int:
    """Make a home of a backup; refused where the home holds data."""
    from outpulse.backing_up import run_restore

    return run_restore(home, folder)


@verb("bench")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--events", default=1_000_000, show_default=True, help="Without a file: how many events to make.")
@click.option("--guard", is_flag=True, help="With the guard watching, for which plain DuckDB has no counterpart.")
@json_option
def bench(home: Home, file: Path | None, events: int, guard: bool, as_json: bool) -> int:  # noqa: FBT001 - flags
    """Measure replay beside plain DuckDB doing the same job on the same file."""
    from outpulse.bench import run_bench

    return run_bench(home, file, events=events, guard=guard, as_json=as_json)


def main() -> None:
    """Entry point of the `outpulse` command."""
    cli()
