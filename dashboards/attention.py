"""What needs a person first: each line says what it is, why it matters, and which page to go to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from control.state import Held
from dashboards.cohorts import cohorts, totals
from dashboards.figures import Level, marks, totals_of
from dashboards.filters import Filters, Range, send_days
from dashboards.process import Source
from dashboards.reader import Reading
from dashboards.words import campaign_name, count
from sinks.store import LATEST_READING

READ_NOW: Final = f"""(SELECT * FROM store.readings QUALIFY row_number() OVER (
    PARTITION BY event_id, provider, recipient ORDER BY {LATEST_READING} DESC) = 1)"""
"""SQL: how each reply is read now; what response_intelligence shows, without the deliveries."""

IS_WAITING: Final = "human_takeover_requested AND resolution_status IN ('pending', 'escalated')"
"""SQL: a reply that waits for a person, over response_intelligence or `READ_NOW`."""

WAITING: Final = f"""
    SELECT count(*) AS replies, count(*) FILTER (urgency_level = 'urgent') AS urgent,
        count(*) FILTER (intent_classification = 'meeting_request') AS meetings
    FROM {READ_NOW} WHERE {IS_WAITING}"""
WINNERS: Final = """
    SELECT experiment_name, winning_variant, campaign_id FROM campaign_experiments
    WHERE winning_variant IS NOT NULL AND experiment_status IN ('running', 'completed')
    ORDER BY coalesce(end_date, start_date, created_at) DESC LIMIT 3"""
ALERTS: Final = """
    SELECT title, max_by(body, created_at) AS body, max(created_at) AS last_at, bool_or(severity = 'critical') AS is_critical
    FROM alerts WHERE pause_id IS NULL AND severity <> 'info' AND created_at > now() - INTERVAL 24 HOUR
    GROUP BY title ORDER BY last_at DESC LIMIT 3"""
UNSENT: Final = """
    SELECT count(*) AS failed, max(created_at) AS last_at FROM alerts
    WHERE status = 'failed' AND created_at > now() - INTERVAL 7 DAY"""
WARNINGS: Final = """
    SELECT scope_kind, scope_value, why, occurred_at FROM pauses
    WHERE action = 'warn' AND occurred_at > (SELECT max(newest) FROM store.commits) - INTERVAL 24 HOUR
    QUALIFY row_number() OVER (PARTITION BY scope_kind, scope_value, rule ORDER BY occurred_at DESC) = 1
    ORDER BY occurred_at DESC"""
LETTERS: Final = """
    SELECT count(*) AS letters FROM dead_letters
    WHERE received_at > (SELECT max(landed_at) FROM store.commits) - INTERVAL 24 HOUR"""
_NAMED: Final = 3
_WORDS: Final = 160


@dataclass(frozen=True)
class Item:
    """One thing that needs attention; `page` is the address of the page where it is dealt with."""

    level: Level
    title: str
    why: str
    page: str


@dataclass(frozen=True)
class Facts:
    """What the lake knows of it, in rows."""

    waiting: dict[str, Any]
    winners: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    unsent: dict[str, Any]
    warnings: list[dict[str, Any]]
    health: list[dict[str, Any]]
    letters: int


def facts(reading: Reading) -> Facts:
    """Reads all of it on one snapshot."""

    def all_of(query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = reading.arrow(query).to_pylist()
        return found

    return Facts(
        waiting=all_of(WAITING)[0],
        winners=all_of(WINNERS),
        alerts=all_of(ALERTS),
        unsent=all_of(UNSENT)[0],
        warnings=all_of(WARNINGS),
        health=_health(reading),
        letters=all_of(LETTERS)[0]["letters"],
    )


def _health(reading: Reading) -> list[dict[str, Any]]:
    """The counts of each campaign of the last seven send days; none where nothing has landed."""
    newest = reading.rows("SELECT max(newest) FROM store.commits")[0][0]
    if newest is None:
        return []
    found: list[dict[str, Any]] = totals(cohorts(reading, Filters(), send_days(Range.WEEK, newest))).to_pylist()
    return found


def items(source: Source) -> list[Item]:
    """What needs attention, the most pressing first.

    Raises:
        LakeError: the lake cannot be read.
    """
    known = source.figures("attention", facts)
    found = [*_pauses(source.holding()), *_replies(known), *_marks(known), *_warnings(known), *_winners(known)]
    found += _system(known, flows_run=source.flows_run())
    order = [Level.ALARM, Level.WARN, Level.FINE]
    return sorted(found, key=lambda item: order.index(item.level))


def _pauses(held: list[Held]) -> Iterator[Item]:
    people = [one for one in held if one.scope.kind in {"contact", "recipient"}]
    scopes = [one for one in held if one not in people]
    for one in scopes[-_NAMED:][::-1]:
        done = "slowed down" if one.share else "paused"
        yield Item(Level.ALARM, f"{one.scope.text} is {done}", one.command.why.split(";")[0], "deliverability")
    if len(scopes) > _NAMED:
        yield Item(Level.ALARM, f"{len(scopes) - _NAMED} more scopes are held back", "", "deliverability")


def _replies(known: Facts) -> Iterator[Item]:
    waiting = known.waiting
    if waiting["replies"]:
        parts = [f"{count(waiting['urgent'])} urgent", f"{count(waiting['meetings'])} ask for a meeting"]
        level = Level.ALARM if waiting["urgent"] or waiting["meetings"] else Level.WARN
        yield Item(level, f"{count(waiting['replies'])} replies wait for a person", ", ".join(parts), "replies")


def _marks(known: Facts) -> Iterator[Item]:
    over = [(campaign_name(r["campaign_id"]), totals_of(r)) for r in known.health if r["sent"]]
    for name, of_campaign in over:
        level = marks(of_campaign)
        if level is Level.ALARM:
            why = (
                f"In 7 days {count(of_campaign.bounced)} of {count(of_campaign.sent)} bounced, "
                f"{count(of_campaign.complained)} of {count(of_campaign.delivered)} complained."
            )
            yield Item(Level.WARN, f"{name} is surely over a provider's mark", why, "campaign")


def _warnings(known: Facts) -> Iterator[Item]:
    if known.warnings:
        newest = known.warnings[0]
        title = f"{count(len(known.warnings))} warnings of the guard in 24 h"
        yield Item(Level.WARN, title, f"{newest['scope_value']}: {newest['why'].split(';')[0]}", "deliverability")


def _winners(known: Facts) -> Iterator[Item]:
    for row in known.winners:
        title = f"{row['experiment_name'] or 'An experiment'}: variant {row['winning_variant']} wins"
        yield Item(Level.FINE, title, f"in {campaign_name(row['campaign_id'])}", "experiments")


def _system(known: Facts, *, flows_run: bool) -> Iterator[Item]:
    if not flows_run:
        why = "Nothing new lands. Start them with: outpulse up, or outpulse flows"
        yield Item(Level.WARN, "The flows are stopped", why, "system")
    for alert in known.alerts:
        level = Level.ALARM if alert["is_critical"] else Level.WARN
        yield Item(level, alert["title"], (alert["body"] or "").strip().split("\n")[0][:_WORDS], "system")
    if known.unsent["failed"]:
        why = f"in 7 days, the last at {known.unsent['last_at']:%Y-%m-%d %H:%M} UTC"
        yield Item(Level.WARN, f"{count(known.unsent['failed'])} alerts could not be sent", why, "system")
    if known.letters:
        why = "They are kept and can be tried again."
        records = "record" if known.letters == 1 else "records"
        yield Item(Level.FINE, f"{count(known.letters)} {records} could not be read in 24 h", why, "system")
