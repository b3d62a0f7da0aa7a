"""What gives a security scanner away, and what a person may do without being taken for one."""

from pathlib import Path
from typing import Any

import pytest

from sinks.networks import scanner_networks
from tests.lakes import land, rows, works

Event = dict[str, Any]
FOUND = "SELECT machine_suspect, machine_reason FROM message_deliveries"


def event(kind: str, second: float, link: str | None = None, **fields: Any) -> Event:
    at = f"2026-01-05T10:{int(second) // 60:02d}:{int(second) % 60:02d}.{round(second % 1 * 1000):03d}Z"
    known = {"url": f"https://example.com/{link}"} if link else {}
    return {
        "event_id": f"{kind}-{second}-{link}",
        "kind": kind,
        "occurred_at": at,
        "delivery_id": "d",
        **known,
        **fields,
    }


DELIVERED = event("delivered", 0)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([event("clicked", 5, "a")], "at_delivery", id="a click five seconds after the delivery"),
        pytest.param([event("clicked", 5.001, "a")], None, id="a click a little later"),
        pytest.param([event("opened", 1)], "at_delivery", id="an open one second after"),
        pytest.param([event("opened", 1.001)], None, id="an open a little later"),
        pytest.param([event("clicked", 9, "a"), event("clicked", 10, "b")], "many_links", id="two links within ten"),
        pytest.param([event("clicked", 9, "a"), event("clicked", 10.001, "b")], None, id="the second link later"),
        pytest.param([event("clicked", 9, "a"), event("clicked", 10, "a")], None, id="one link twice"),
        pytest.param(
            [event("clicked", 600 + n, "abc"[n]) for n in range(3)], "many_links", id="three links in two seconds"
        ),
        pytest.param(
            [event("clicked", 600 + 2 * n, "abc"[n]) for n in range(3)], None, id="three links in four seconds"
        ),
        pytest.param([event("clicked", 600, "x?op_hidden=1")], "hidden_link", id="a link that nobody sees"),
        pytest.param(
            [event("opened", 600, attributes={"ip": "209.222.82.7"})], "network", id="from a scanner's network"
        ),
        pytest.param([event("opened", 600, attributes={"ip": "209.222.88.0"})], None, id="beyond that network"),
        pytest.param([event("opened", 600, attributes={"ip": "2001:db8::1"})], None, id="an address of another family"),
        pytest.param([event("opened", 600, attributes={"ip": "209.999.1"})], None, id="no address at all"),
        pytest.param([event("clicked", 1, "a", is_machine=True)], None, id="what the provider has found already"),
        pytest.param([event("replied", 1)], None, id="a quick reply is no open"),
    ],
)
def test_what_looks_like_a_machine_is_found_in_any_order(home: Path, events: list[Event], reason: str | None) -> None:
    for number, order in enumerate(([DELIVERED, *events], [*events[::-1], DELIVERED])):
        land(home / str(number), works(order, [1]))

        assert rows(home / str(number), FOUND) == [(reason is not None, reason)]


def test_strict_figures_leave_suspects_out_and_the_usual_ones_keep_them(home: Path) -> None:
    other = {**event("clicked", 900, "a"), "delivery_id": "e"}
    land(home, works([DELIVERED, event("clicked", 2, "a"), event("opened", 2), other], [4]))
    names = ("messages_opened", "messages_opened_strict", "messages_clicked", "messages_clicked_strict")
    sums = ", ".join(f"sum({name})::INT" for name in names)

    assert rows(home, f"SELECT {sums} FROM campaign_performance_metrics") == [(1, 0, 2, 1)]


def test_a_late_delivery_event_makes_a_click_suspect_and_a_later_look_takes_it_back(home: Path) -> None:
    land(home, works([event("clicked", 100, "a")], [1]))

    assert rows(home, FOUND) == [(False, None)]

    land(home, works([event("delivered", 98)], [1], start=1))

    assert rows(home, FOUND) == [(True, "at_delivery")]

    land(home, works([event("delivered", 10)], [1], start=2))

    assert rows(home, FOUND) == [(False, None)]


def test_every_network_has_a_source_and_a_day() -> None:
    text = (Path(__file__).parents[1] / "data" / "scanner_networks.csv").read_text().splitlines()

    assert len(text) == len(scanner_networks()) + 1
    assert all(",https://" in line and line.rsplit(",", 1)[1].startswith("20") for line in text[1:])
