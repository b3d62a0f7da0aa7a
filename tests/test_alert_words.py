"""What an alert says: what happened, why, how sure, what was stopped, what to do, on one screen."""

import shlex

import msgspec
import pytest

from control.commands import canonical
from control.scopes import parse_scope
from schemas.events import Command, CommandAction, Detector
from schemas.records import AlertSeverity
from sinks.alerts.messages import text_of
from sinks.alerts.notices import Notice, notice_of, notice_of_row, odds

GUARD = Command(
    id="c-1",
    action=CommandAction.PAUSE,
    scope_kind="sender,domain",
    scope_value="ida@out.example,firm.example",
    occurred_at="2026-01-05T10:00:30Z",
    decided_by="guard",
    why="hard bounces far above what is tolerated",
    rule="bounces",
    metric="hard_bounce",
    observed_rate=12 / 61,
    tolerance=0.05,
    evidence=123.4,
    trials=61,
    hits=12,
)


def said(**changes: object) -> tuple[str, dict[str, str]]:
    """Title, and the text after each heading."""
    notice = notice_of(canonical(msgspec.structs.replace(GUARD, **changes)))
    lines = notice.body.split("\n\n")[0].splitlines()
    return notice.title, dict(line.split(": ", 1) for line in lines)


def test_a_pause_says_all_that_one_needs() -> None:
    title, lines = said()
    assert title == "Paused: sender:ida@out.example,domain:firm.example (bounces)"
    assert lines["What happened"] == "hard bounce: 12 of 61 (19.7%), 5% is tolerated"
    assert lines["Why"] == "hard bounces far above what is tolerated"
    assert lines["How sure"] == "less than 1 in 120 healthy senders would ever show this"
    assert lines["What was stopped"] == "what ida@out.example sends to firm.example; everything else goes on"
    assert "outpulse resume sender:ida@out.example,domain:firm.example --why" in lines["What to do"]


@pytest.mark.parametrize(
    ("action", "severity", "title", "stopped"),
    [
        ("warn", "warning", "Warning: campaign:autumn (bounces)", "nothing yet"),
        ("slow", "warning", "Slowed to 20%: campaign:autumn (bounces)", "all but 20% of campaign autumn"),
        ("pause", "critical", "Paused: campaign:autumn (bounces)", "campaign autumn; everything else goes on"),
        ("resume", "info", "Resumed: campaign:autumn (bounces)", "nothing any more; campaign autumn goes out again"),
    ],
)
def test_each_action_has_its_severity_and_its_words(action: str, severity: str, title: str, stopped: str) -> None:
    changes = {"action": CommandAction(action), "scope_kind": "campaign", "scope_value": "autumn", "send_share": 0.2}
    notice = notice_of(canonical(msgspec.structs.replace(GUARD, **changes)))
    assert (notice.severity, notice.title) == (severity, title)
    assert said(**changes)[1]["What was stopped"] == stopped


@pytest.mark.parametrize(
    ("changes", "sure"),
    [
        pytest.param(
            {"detector": Detector.LIMIT}, "less than 1 in 120 healthy senders would ever show this", id="limit"
        ),
        pytest.param(
            {"detector": Detector.SHIFT},
            "that it got worse: less than 1 in 120 senders with a steady healthy rate would look so in their first million "
            "messages; that it is above 5% now is likely, not proven",
            id="shift",
        ),
        pytest.param(
            {"detector": Detector.PROBATION},
            "less than 1 in 120 senders that are healthy again would fail their probation so",
            id="failed probation",
        ),
        pytest.param(
            {"detector": Detector.PROBATION, "action": CommandAction.RESUME},
            "less than 1 in 120 senders still above 5% would look so clean on probation",
            id="passed probation",
        ),
    ],
)
def test_how_sure_is_what_the_detector_guarantees(changes: dict[str, object], sure: str) -> None:
    assert said(**changes)[1]["How sure"] == sure


def test_a_probation_says_what_goes_out_and_that_the_guard_decides() -> None:
    title, lines = said(
        action=CommandAction.SLOW, send_share=0.05, metric="probation", trials=None, hits=None, evidence=None,
        detector=Detector.PROBATION, why="24 hours have passed since the pause",
    )  # fmt: skip
    assert title == "On probation with 5%: sender:ida@out.example,domain:firm.example (bounces)"
    assert "How sure" not in lines
    assert lines["What was stopped"] == "all but 5% of what ida@out.example sends to firm.example"
    assert lines["What to do"].startswith("nothing; the guard lets it go or stops it again")


@pytest.mark.parametrize(
    "scope",
    [
        "campaign:autumn",
        'campaign:"Spring, part 1",step:2',
        "campaign:autumn,variant:B",
        "sender:ida@out.example",
        "domain:firm.example",
        "contact:c7",
        "all",
    ],
)
def test_the_command_that_mends_it_can_be_pasted_for_every_scope(scope: str) -> None:
    parsed = parse_scope(scope)
    _, lines = said(scope_kind=parsed.kind, scope_value=parsed.value)
    words = shlex.split(lines["What to do"].split("when it is mended: ")[1])
    assert words == ["outpulse", "resume", scope, "--why", "..."]


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (0.0, "1"),
        (1.99, "1"),
        (99.99, "99"),
        (100.0, "100"),
        (1234.5, "1,200"),
        (999_999.0, "990,000"),
        (1e6, "a million"),
        (1e300, "a million"),
        (float("inf"), "a million"),
        (float("nan"), "a million"),
    ],
)
def test_an_e_value_is_rounded_down_to_two_figures(evidence: float, words: str) -> None:
    assert odds(evidence) == words


def test_a_persons_decision_has_no_figures_and_is_as_sure_as_the_person() -> None:
    _, lines = said(
        decided_by="ida",
        rule=None,
        metric=None,
        trials=None,
        hits=None,
        evidence=None,
        observed_rate=None,
        tolerance=None,
    )
    assert lines["What happened"] == "ida decided it"
    assert lines["How sure"] == "it was a person's decision"


def test_a_reason_of_many_lines_stays_on_one_screen() -> None:
    _, lines = said(why="because\n" * 10_000)
    assert len(lines["Why"]) <= 500


def test_a_command_without_a_trial_divides_by_nothing() -> None:
    assert said(trials=0, hits=0, observed_rate=None)[1]["What happened"] == "hard bounce: 0 of 0 (0%), 5% is tolerated"


def notice(kind: str, scope: str, severity: AlertSeverity = AlertSeverity.WARNING, minute: int = 0) -> Notice:
    moment = f"2026-01-05T10:{minute:02d}:00.000Z"
    return Notice(f"{kind}{scope}{minute}", kind, severity, scope, f"{kind} of {scope}", "the body", moment)


def test_repeats_are_one_message_with_a_count() -> None:
    text = text_of([notice("warn", "a", minute=minute) for minute in range(3)], is_summary=False)
    assert text.title == "warn of a (3 times)"
    assert "3 times since 2026-01-05 10:00 UTC" in text.body


def test_what_was_not_told_before_is_listed_below_what_followed_it() -> None:
    older = notice("pause", "a", AlertSeverity.CRITICAL)
    text = text_of([older, notice("resume", "a", AlertSeverity.INFO)], is_summary=False)
    assert text.title == "resume of a"
    assert text.body.splitlines()[-1] == "- pause of a"


def test_a_summary_counts_kinds_and_lists_the_most_severe_first_on_one_screen() -> None:
    many = [notice("warn", f"w{number}") for number in range(40)]
    text = text_of([*many, notice("pause", "a", AlertSeverity.CRITICAL), notice("warn", "w3")], is_summary=True)
    lines = [line for line in text.body.splitlines() if line.startswith("- ")]
    assert text.title == "42 alerts: 1 pause, 41 warnings"
    assert (lines[0], lines[-1]) == ("- pause of a", "- and 21 more")
    assert "- warn of w3 (2 times)" in lines
    assert len(text.body.splitlines()) <= 25
    assert text.severity == AlertSeverity.CRITICAL


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({}, id="empty"),
        pytest.param(
            {"id": "x", "severity": "info", "title": "t", "body": "b", "created_at": "2026-01-05T10:00:00Z"}, id="id"
        ),
        pytest.param(
            {"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "severity": "info", "title": "t", "body": "b"}, id="no time"
        ),
        pytest.param(
            {
                "id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                "severity": "info",
                "title": "t",
                "body": "b",
                "created_at": "soon",
            },
            id="no such time",
        ),
    ],
)
def test_a_row_that_is_no_alert_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        notice_of_row(row)
