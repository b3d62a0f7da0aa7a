"""Scopes in every form, and commands in the one form in which they are compared."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.commands import canonical, read_command
from control.scopes import FORMS, Scope, keys_of, parse_scope, scope_of
from schemas.events import Command, CommandAction
from schemas.failures import BadEvent, SettingsError
from tests.test_control import AT

# Scopes


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("campaign:autumn", "campaign", "autumn"),
        ("campaign:autumn,step:2", "campaign,step", "autumn,2"),
        ("campaign:autumn,variant:B", "campaign,variant", "autumn,B"),
        ("sender:ida@out.example", "sender", "ida@out.example"),
        ("sender:ida@out.example,domain:firm.example", "sender,domain", "ida@out.example,firm.example"),
        ("domain:firm.example", "domain", "firm.example"),
        ("contact:c-7", "contact", "c-7"),
        ("all", "all", ""),
        ("sender:https://social.example/in/ida", "sender", "https://social.example/in/ida"),
        ('campaign:"Spring, part 1"', "campaign", "Spring, part 1"),
        ('campaign:"Spring, ""one""",step:2', "campaign,step", '"Spring, ""one""",2'),
        ("campaign:50% off", "campaign", "50% off"),
    ],
)
def test_every_form_of_a_scope_is_read_and_written_the_same(text: str, kind: str, value: str) -> None:
    scope = parse_scope(text)

    assert (scope.kind, scope.value) == (kind, value)
    assert scope.text == text
    assert scope_of(kind, value) == scope


def test_the_forms_that_errors_name_are_the_forms_that_are_read() -> None:
    assert [parse_scope(form).kind for form in FORMS] == [
        "campaign", "campaign,step", "campaign,variant", "sender", "sender,domain", "domain", "contact", "recipient", "all",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "same"),
    [
        pytest.param("sender: Ida@OUT.example", "sender:ida@out.example", id="addresses are in lower case"),
        pytest.param("domain:Firm.EXAMPLE", "domain:firm.example", id="domains are in lower case"),
        pytest.param(
            "domain:firm.example,sender:a@b.example", "sender:a@b.example,domain:firm.example", id="any order"
        ),
        pytest.param("step:2,campaign:x", "campaign:x,step:2", id="a step before its campaign"),
        pytest.param(" all ", "all", id="blanks around all"),
    ],
)
def test_other_spellings_of_a_scope_are_the_same_scope(text: str, same: str) -> None:
    assert parse_scope(text).text == same


def test_ids_of_campaigns_and_contacts_keep_their_case() -> None:
    assert parse_scope("campaign:Autumn") != parse_scope("campaign:autumn")
    assert parse_scope("contact:C1").values == ("C1",)


@pytest.mark.parametrize(
    "text",
    [
        "", "campaign", "campaign:", "campaign:a,", ",campaign:a", "campaign:a,b", "campaign:a,step:", "step:2", "variant:B",
        "mailbox:x", "all:x", "all,campaign:a", "campaign:a,campaign:b", "campaign:a,step:1,variant:B",
        "campaign:a,domain:x.example", "domain:@firm.example", 'campaign:"a', 'campaign:a"b', "Campaign:a", "sender:  ",
    ],
)  # fmt: skip
def test_what_is_no_scope_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_scope(text)

    assert "sender:ADDRESS,domain:NAME" in str(refused.value)
    assert " ".join(text.split()) in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("", ""), ("all", "x"), ("all,all", ""), ("campaign", ""), ("sender,domain", "a@b.example"), ("campaign,step", "a,b,2"),
     ("campaign,step", 'a"b,2'), ("contact,campaign", "a,b"), ("domain", "a@b")],
)  # fmt: skip
def test_columns_that_are_no_scope_are_refused(kind: str, value: str) -> None:
    with pytest.raises(SettingsError):
        scope_of(kind, value)


VALUES = st.text(min_size=1, max_size=8).filter(str.strip) | st.sampled_from(
    ["a,b", '"', '""', ",", '"a",b', "a:b", "%2C"]
)
KINDS = st.sampled_from([("campaign",), ("campaign", "step"), ("campaign", "variant"), ("contact",)])


@given(kinds=KINDS, one=VALUES, other=VALUES)
def test_any_value_survives_as_text_and_as_columns(kinds: tuple[str, ...], one: str, other: str) -> None:
    scope = Scope(kinds, (one, other)[: len(kinds)])

    assert parse_scope(scope.text) == scope
    assert scope_of(scope.kind, scope.value) == scope


def test_a_message_is_covered_by_exactly_the_scopes_that_name_it() -> None:
    keys = set(keys_of("autumn", "ida@out.example", "ada@firm.example", "c1", "2", "B"))
    covering = ["all", "campaign:autumn", "campaign:autumn,step:2", "campaign:autumn,variant:B", "sender:ida@out.example",
                "sender:ida@out.example,domain:firm.example", "domain:firm.example", "contact:c1",
                "recipient:ada@firm.example"]  # fmt: skip
    others = ["campaign:spring", "campaign:autumn,step:1", "campaign:autumn,variant:A", "sender:max@out.example",
              "sender:max@out.example,domain:firm.example", "sender:ida@out.example,domain:other.example",
              "domain:example", "contact:c2", "recipient:c1"]  # fmt: skip

    assert keys == {parse_scope(text).key for text in covering}
    assert not keys & {parse_scope(text).key for text in others}


# Commands


def test_a_command_is_read_as_it_is_compared() -> None:
    raw = b"""{"id": "x", "action": "slow", "scope_kind": "domain,sender", "scope_value": "Firm.example,Ida@Out.example",
        "send_share": 1, "occurred_at": "2026-01-05T11:00:00+01:00", "decided_by": "guard", "why": "w"}"""

    command = read_command(raw)

    assert (command.scope_kind, command.scope_value) == ("sender,domain", "ida@out.example,firm.example")
    assert (command.occurred_at, command.send_share) == (AT, 1.0)
    assert canonical(command) is command


@pytest.mark.parametrize(("action", "share"), [("warn", 1.0), ("pause", 0.0), ("resume", 1.0), ("slow", 0.25)], ids=str)
def test_the_share_of_a_command_is_what_its_action_means(action: str, share: float) -> None:
    told = Command(
        id="x", action=CommandAction(action), scope_kind="all", occurred_at=AT, decided_by="g", why="w", send_share=0.25
    )

    assert canonical(told).send_share == share


@pytest.mark.parametrize(
    "change",
    [
        {"action": "stop"}, {"scope_kind": ""}, {"scope_kind": "mailbox"}, {"id": ""}, {"occurred_at": "yesterday"},
        {"occurred_at": "1999-12-31T23:59:59Z"}, {"decided_at": "soon"}, {"action": "slow", "send_share": 1.01},
        {"action": "slow", "send_share": -0.1}, {"action": "suppress"}, {"action": "suppress", "recipient": "  "},
        {"action": "suppress", "contact_id": "c", "channel": "fax"}, {"newer": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_command_is_refused(change: dict[str, object]) -> None:
    good = {"id": "x", "action": "pause", "scope_kind": "all", "occurred_at": AT, "decided_by": "g", "why": "w"}
    read_command(msgspec.json.encode(good))

    with pytest.raises(BadEvent) as bad:
        read_command(msgspec.json.encode(good | change))

    assert bad.value.reason == "command unusable"
