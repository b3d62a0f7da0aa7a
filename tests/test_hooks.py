"""Tools without code: mapping files, the samples in `data/hooks`, and the way from a post to SQL."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.mapped import Mapped, mapped_adapters
from adapters.mappings import FIELDS, KEYS, read_mapping
from adapters.reading import Receipt
from schemas.events import RawRequest
from schemas.failures import SettingsError
from schemas.instants import parse_ms
from tests.lakes import rows
from tests.processes import answers, free_port, run, start, stop, wait_until

SAMPLES = Path(__file__).parents[1] / "data" / "hooks"
TOOLS = ("linkline", "dialtone", "slotly")
RECEIPT = Receipt("2026-01-07T10:00:00.000Z", parse_ms("2026-01-07T10:00:00Z"))
GOOD = 'kind = "k"\nchannel = "phone"\nkinds = { a = "called" }\nfields = { event_id = "id", occurred_at = "at" }\n'


def tool(name: str) -> Mapped:
    return Mapped(name, read_mapping(SAMPLES / f"{name}.toml"))


def parsed(name: str) -> Any:
    body = (SAMPLES / f"{name}.json").read_bytes()
    return tool(name).parse(
        RawRequest(provider=name, method="POST", url="/", received_at=str(RECEIPT.at), headers={}, body=body)
    )


def test_linkline_invites_and_messages() -> None:
    found = parsed("linkline")

    assert [(e.kind, e.channel, e.delivery_id, e.sequence_step) for e in found.events] == [
        ("sent", "linkedin_connect", "t-1", "1"),
        ("connected", "linkedin_connect", "t-1", "1"),
        ("replied", "linkedin_message", "t-2", "2"),
    ]
    assert [(reply.event_id, reply.text) for reply in found.replies] == [("ll-3", "Happy to talk next week.")]
    assert [item.reason for item in found.rejected] == ["unmapped: seat.paused"]
    assert found.events[0].attributes == {"profile": "https://linkline.example/in/ada", "seat": "sdr-4"}


def test_dialtones_local_times_and_made_ids() -> None:
    found = parsed("dialtone")

    assert [(e.kind, e.occurred_at, e.sender) for e in found.events] == [
        ("called", "2026-01-05T09:02:00.000Z", "dialtone-team"),
        ("called", "2026-01-05T09:09:30.000Z", "dialtone-team"),
        ("meeting_booked", "2026-01-05T09:15:00.000Z", "dialtone-team"),
    ]
    assert len({e.event_id for e in found.events}) == 3
    assert [e.event_id for e in parsed("dialtone").events] == [e.event_id for e in found.events]
    assert [item.reason for item in found.rejected] == ["occurred_at is not a time"]


def test_slotlys_meetings() -> None:
    assert [e.kind for e in parsed("slotly").events] == [
        "meeting_booked",
        "meeting_confirmed",
        "meeting_cancelled",
        "meeting_held",
        "meeting_no_show",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind = ", "Invalid value"),
        ("", "kind is missing; a mapping needs kind, kinds, channel, fields"),
        (GOOD.replace("kinds = {", "kindz = {"), "kindz is unknown; valid are kind, kinds, channel, fields, items"),
        (GOOD.replace('"called"', "[]").replace("{ a = [] }", "{}"), "kinds is missing"),
        (GOOD.replace("phone", "pigeon"), "channel is 'pigeon'; valid are email, linkedin_connect"),
        (GOOD.replace("called", "teleported"), "[kinds] a is 'teleported'; valid are queued, sent"),
        (GOOD + 'channels = { a = "owl" }', "[channels] a is 'owl'; valid are email"),
        (GOOD + 'channels = { b = "video" }', "[channels] b is none of the kinds; valid are a"),
        (GOOD.replace('"k"', "7"), "kind: Expected `str`, got `int`"),
        (GOOD + 'attributes = { who = ["x"] }', "attributes[...]: Expected `str`, got `array`"),
        (GOOD + "colour = 1", "colour is unknown; valid are kind, kinds"),
        (GOOD.replace("event_id", "evnt_id"), "[fields] evnt_id is unknown; valid are event_id, occurred_at"),
        (GOOD + 'attributes = { who = "lead id" }', "[attributes] who is 'lead id', which is no JMESPath"),
        (GOOD + "time_format = '%Q'", "time_format: 'Q' is a bad directive"),
        (GOOD + "time_format = 'ISO'", "time_format is 'ISO'; valid is '%d.%m.%Y %H:%M:%S'"),
        (GOOD.replace('event_id = "id", ', ""), "needs occurred_at, and event_id or a list id_from"),
        (GOOD + 'constants = { kind = "x" }', "[constants] kind is unknown"),
        (GOOD + 'reply = { body = "x" }', "[reply] body is unknown; valid are text, subject"),
        (GOOD + 'items = "a[["', "items is 'a[[', which is no JMESPath"),
        (
            GOOD + 'time_zone = "Mars/Olympus"',
            "time_zone: time zone 'Mars/Olympus' is unknown, valid is UTC, Europe/Berlin",
        ),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.toml").write_text(text)

    with pytest.raises(SettingsError) as caught:
        Mapped("a", read_mapping(tmp_path / "a.toml"))
    assert str(caught.value).startswith(f"mapping {tmp_path / 'a.toml'}")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[", b"7", b"null", b"[null, 7, []]", b'{"k": ["a"]}', b'{"k": "a"}', b"\xff"])
def test_any_body_gives_dead_letters_and_never_raises(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    request = RawRequest(provider="a", method="POST", url="/", received_at=str(RECEIPT.at), headers={}, body=body)
    found = Mapped("a", read_mapping(tmp_path / "a.toml")).parse(request)

    assert found.events == []
    assert found.rejected


def test_a_form_is_read_as_its_fields(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b"k=a&id=7&at=2026-01-05T10%3A00%3A00Z"
    request = RawRequest(provider="a", method="POST", url="/", received_at=str(RECEIPT.at), headers=headers, body=body)

    assert [e.event_id for e in Mapped("a", read_mapping(tmp_path / "a.toml")).parse(request).events] == ["7"]


def test_posts_of_three_tools_reach_sql_and_a_mended_mapping_is_replayed(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    hooks = "".join(f'[hooks.{name}]\nmapping = "{name}.toml"\n' for name in TOOLS)
    (home / "outpulse.toml").write_text(
        f'[gateway]\nport = {port}\ntoken = "sesame"\n{hooks}bearer_tokens = ["own", "older"]\n'
    )
    for name in TOOLS:
        (home / f"{name}.toml").write_bytes((SAMPLES / f"{name}.toml").read_bytes())
    gateway = start("gateway", "--home", str(home))
    try:
        wait_until(lambda: answers(port), what="the gateway's start")

        def post(name: str, token: str) -> int:
            body = (SAMPLES / f"{name}.json").read_bytes() if name in TOOLS else b"{}"
            headers = {"authorization": f"Bearer {token}"}
            return httpx.post(f"http://127.0.0.1:{port}/hooks/{name}", content=body, headers=headers).status_code

        assert [post(*one) for one in (("linkline", "sesame"), ("dialtone", "sesame"), ("slotly", "own"))] == [204] * 3
        assert post("slotly", "older") == 204  # both hold while the tool is given the new one; its copies count once
        assert [post(*one) for one in (("linkline", "x"), ("slotly", "sesame"), ("nobody", "sesame"))] == [
            401,
            401,
            404,
        ]
        unknown = httpx.post(f"http://127.0.0.1:{port}/hooks/nobody").json()
        assert unknown == {"error": "unknown hook 'nobody', valid are dialtone, linkline, slotly"}
    finally:
        assert stop(gateway) == 0
    assert run("flows", "--drain", "--home", str(home)).returncode == 0

    by_tool = "SELECT provider, count(*), count(DISTINCT channel) FROM events GROUP BY 1 ORDER BY 1"
    assert rows(home, by_tool) == [("dialtone", 3, 1), ("linkline", 3, 2), ("slotly", 5, 1)]
    assert rows(home, "SELECT provider, reason FROM dead_letters ORDER BY 1") == [
        ("hook:dialtone", "occurred_at is not a time"),
        ("hook:linkline", "unmapped: seat.paused"),
    ]
    assert rows(home, "SELECT response_text, response_channel FROM response_intelligence") == [
        ("Happy to talk next week.", "linkedin")
    ]
    mended = (home / "linkline.toml").read_text().replace("[kinds]", '[kinds]\n"seat.paused" = "failed"')
    (home / "linkline.toml").write_text(mended)
    assert run("flows", "--rebuild", "--home", str(home)).returncode == 0
    assert rows(home, by_tool)[1] == ("linkline", 4, 2)


def test_a_hook_without_any_secret_is_refused_with_the_setting(tmp_path: Path) -> None:
    from outpulse.settings import HookSettings
    from schemas.failures import RequestRefused

    request = RawRequest(provider="a", method="POST", url="/", received_at=str(RECEIPT.at), headers={}, body=b"")
    with pytest.raises(RequestRefused, match=r"\[hooks.linkline\] bearer_tokens, or \[gateway\] token") as caught:
        tool("linkline").verify(request, HookSettings(), 0)
    assert caught.value.status == 403
    assert json.dumps(str(tmp_path)) not in str(caught.value)


def posted(mapping: str, body: bytes, tmp_path: Path, content_type: str = "application/json") -> Any:
    (tmp_path / "a.toml").write_text(mapping)
    headers = {"content-type": content_type}
    request = RawRequest(provider="a", method="POST", url="/", received_at=str(RECEIPT.at), headers=headers, body=body)
    return Mapped("a", read_mapping(tmp_path / "a.toml")).parse(request)


LOCAL = GOOD + 'time_zone = "Europe/Berlin"\n'


@pytest.mark.parametrize(
    ("told", "at"),
    [
        pytest.param('"2025-07-01T10:00:00"', "2025-07-01T08:00:00.000Z", id="text without a zone is in the mapping's"),
        pytest.param('"2025-07-01 10:00"', "2025-07-01T08:00:00.000Z", id="without seconds"),
        pytest.param('"01.07.2025 10:00:00"', "2025-07-01T08:00:00.000Z", id="day first"),
        pytest.param('"2025-07-01T10:00:00Z"', "2025-07-01T10:00:00.000Z", id="a zone of its own counts"),
        pytest.param('"2025-07-01T10:00:00-0330"', "2025-07-01T13:30:00.000Z", id="an offset of its own counts"),
        pytest.param("1751364000", "2025-07-01T10:00:00.000Z", id="unix seconds are UTC"),
        pytest.param('"1751364000123"', "2025-07-01T10:00:00.123Z", id="unix milliseconds as text"),
        pytest.param('"2025-03-30T01:59:59"', "2025-03-30T00:59:59.000Z", id="the last second before summer time"),
        pytest.param('"2025-03-30T03:00:00"', "2025-03-30T01:00:00.000Z", id="the first second of summer time"),
        pytest.param('"2025-10-26T02:30:00"', "2025-10-26T00:30:00.000Z", id="the hour that comes twice, first time"),
        pytest.param('"2025-10-26T02:30:00+01:00"', "2025-10-26T01:30:00.000Z", id="the same hour by its offset"),
        pytest.param('"2025-10-26T03:00:00"', "2025-10-26T02:00:00.000Z", id="after it"),
    ],
)
def test_times_are_in_the_mappings_zone_unless_they_name_one(tmp_path: Path, told: str, at: str) -> None:
    found = posted(LOCAL, f'{{"k": "a", "id": 1, "at": {told}}}'.encode(), tmp_path)

    assert [event.occurred_at for event in found.events] == [at]


def test_a_format_of_its_own_is_in_the_mappings_zone_too(tmp_path: Path) -> None:
    mapping = LOCAL + "time_format = '%d/%m/%Y %I:%M %p'\n"
    body = b'[{"k": "a", "id": 1, "at": "26/10/2025 02:30 AM"}, {"k": "a", "id": 2, "at": "2025-10-26T10:00:00Z"}]'
    found = posted(mapping, body, tmp_path)

    assert [event.occurred_at for event in found.events] == ["2025-10-26T00:30:00.000Z"]
    assert [item.detail for item in found.rejected] == ["'2025-10-26T10:00:00Z', valid is %d/%m/%Y %I:%M %p"]


@pytest.mark.parametrize("form", ["", "time_format = '%Y-%m-%dT%H:%M:%S'\n"], ids=["any format", "with a format"])
def test_a_time_that_the_clocks_leave_out_is_a_dead_letter(tmp_path: Path, form: str) -> None:
    (rejected,) = posted(LOCAL + form, b'{"k": "a", "id": 1, "at": "2025-03-30T02:30:00"}', tmp_path).rejected

    assert rejected.reason == "occurred_at is not a time"
    assert rejected.detail == "2025-03-30 02:30:00 is left out by the clocks of Europe/Berlin"


NESTED = """
items = "data.activities[].steps[]"
kind = "join('.', [channel, what])"
channel = "linkedin_message"
attributes = { campaign_name = "_body.data.campaign.name", score = "lead.score", vip = "lead.vip" }
[kinds]
"li.invited" = "sent"
"crm.deal" = "opportunity_created"
"video.watched" = "opened"
[channels]
"video.watched" = "video"
[fields]
event_id = "no"
occurred_at = "at"
campaign_id = "_body.data.campaign.id"
contact_id = 'lead."contact id"'
recipient = "lead.mail"
"""


def test_nested_items_reach_the_body_around_them_and_numbers_become_text(tmp_path: Path) -> None:
    steps = [
        {"no": 2**53 + 1, "channel": "li", "what": "invited", "at": 1767610800}
        | {"lead": {"contact id": 42, "mail": "Ada <ada@firm.example>", "score": 0, "vip": False}},
        {"no": 2, "channel": "video", "what": "watched", "at": "1767610801"},
        {"no": 3, "channel": "li", "what": "poked", "at": 1767610802},
        {"no": 4, "channel": "crm", "what": "deal"},
    ]
    campaign = {"id": 17, "name": "Autumn"}
    body = {"data": {"campaign": campaign, "activities": [{"steps": steps[:1]}, {"steps": steps[1:]}, {}]}}
    found = posted(NESTED, json.dumps(body).encode(), tmp_path)

    told = [(e.event_id, e.kind, e.channel, e.campaign_id, e.contact_id, e.recipient) for e in found.events]
    assert told == [
        ("9007199254740993", "sent", "linkedin_message", "17", "42", "ada@firm.example"),
        ("2", "opened", "video", "17", None, None),
    ]
    assert found.events[0].attributes == {"campaign_name": "Autumn", "score": "0", "vip": "false"}
    assert [(item.reason, item.detail) for item in found.rejected] == [
        ("unmapped: li.poked", "a's 'li.poked' has no kind here"),
        ("occurred_at missing", "nothing stands at 'at', the mapping's occurred_at"),
    ]
    assert b"_body" not in found.rejected[0].raw


def test_a_form_may_hold_json_in_a_field(tmp_path: Path) -> None:
    body = b"payload=%7B%22k%22%3A%22a%22%2C%22id%22%3A7%2C%22at%22%3A1767610800%7D&v=1"
    mapping = GOOD + 'items = "payload"\n'

    assert [e.event_id for e in posted(mapping, body, tmp_path, "application/x-www-form-urlencoded").events] == ["7"]


def test_broken_json_that_calls_itself_a_form_is_told_as_broken_json(tmp_path: Path) -> None:
    found = posted(GOOD, b'{"k": "a"', tmp_path, "application/x-www-form-urlencoded")

    assert [item.reason for item in found.rejected] == ["not JSON"]


@pytest.mark.parametrize(
    ("mappings", "why"),
    [
        ({"sendgrid": "a.toml"}, "[hooks.sendgrid] has the name of a provider; choose another"),
        ({"a": ""}, "[hooks.a] mapping is not set; valid is the path of a mapping file"),
        ({"a": "no.toml"}, "no.toml cannot be read: No such file"),
    ],
)
def test_a_hook_whose_mapping_cannot_be_used_says_why(tmp_path: Path, mappings: dict[str, str], why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        mapped_adapters(tmp_path, mappings)
    assert why in str(caught.value)


def test_a_wrong_mapping_stops_gateway_and_flows_and_doctor_tells_it(tmp_path: Path) -> None:
    (tmp_path / "outpulse.toml").write_text('[hooks.a]\nmapping = "a.toml"\n[hooks.b]\nmapping = "b.toml"\n')
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD.replace("called", "calld"))
    why = f"mapping {tmp_path / 'b.toml'}: [kinds] a is 'calld'; valid are queued, sent"

    for verb in ("gateway", "flows"):
        outcome = run(verb, "--home", str(tmp_path))
        assert outcome.returncode == 1
        assert outcome.stderr.startswith(f"outpulse {verb}: {why}")
    assert hooks_in_doctor(tmp_path)["state"] == "fault"
    assert why in hooks_in_doctor(tmp_path)["found"]
    (tmp_path / "b.toml").write_text(GOOD)
    assert hooks_in_doctor(tmp_path) | {"mend": ""} == {
        "check": "hooks",
        "state": "warn",
        "found": "no proof is set for a, b: every post is refused",
        "mend": "",
    }


def hooks_in_doctor(home: Path) -> dict[str, Any]:
    checks = json.loads(run("doctor", "--json", "--home", str(home)).stdout)
    return next(dict(row) for row in checks if row["check"] == "hooks")


def test_the_example_of_the_docs_does_what_they_say(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "channels.md").read_text()
    (body,) = re.findall(r"^```json5\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (mapping,) = re.findall(r"^```TOML\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    found = posted(mapping, body.encode(), tmp_path)

    assert found.rejected == []
    assert [(e.event_id, e.kind, e.channel, e.occurred_at, e.contact_id, e.campaign_id) for e in found.events] == [
        ("9001", "called", "phone", "2026-01-05T09:02:00.000Z", "42", "17"),
        ("9002", "meeting_booked", "phone", "2026-01-05T09:09:30.000Z", "43", "17"),
    ]
    assert found.events[0].attributes == {"seconds": "182"}


def test_the_docs_name_every_key_and_field_of_a_mapping() -> None:
    page = (Path(__file__).parents[1] / "docs" / "channels.md").read_text()
    section = page.partition("## Hooks")[2].partition("## Histories")[0]

    assert [name for name in (*KEYS, *FIELDS) if f"`{name}`" not in section and f"`[{name}]`" not in section] == []
