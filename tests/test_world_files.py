"""The files that the simulated world and the bulk generator write."""

import csv
import json
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pytest

from data import bulk
from data.campaigns import experiments
from data.draws import weighted
from data.sendgrid import CUSTOM_ARGS
from data.truth import truth
from data.world import World, main
from schemas.decode import decode_record


def test_the_command_writes_events_truth_contacts_and_experiments(tmp_path: Path) -> None:
    names = ("out", "truth", "contacts", "experiments")
    files = {name: tmp_path / name for name in names}
    main(
        [
            "--seed",
            "3",
            "--days",
            "2",
            "--scale",
            "0.01",
            *(part for name in names for part in (f"--{name}", str(files[name]))),
        ]
    )
    with files["contacts"].open(encoding="utf-8", newline="") as file:
        contacts = list(csv.DictReader(file))

    assert len(files["out"].read_bytes().splitlines()) == World(3, 2, scale=0.01).event_count
    assert json.loads(files["truth"].read_text()) == truth(World(3, 2, scale=0.01))
    assert {"contact_id", "timezone", "persona", "account_tier"} < set(contacts[0])
    assert json.loads(files["experiments"].read_text()) == experiments()


def test_bulk_files_with_one_seed_are_equal_and_with_another_differ(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        bulk.write_ndjson(tmp_path / name, 5_000, seed)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_bulk_lines_are_usable_events_of_some_450_bytes(tmp_path: Path) -> None:
    bulk.main(["--events", "3000", "--out", str(tmp_path / "a")])
    lines = (tmp_path / "a").read_bytes().splitlines()
    dimensions = (*CUSTOM_ARGS, "recipient", "message_id", "attributes", "received_at")

    assert len(lines) == 3000
    assert 400 < sum(map(len, lines)) / 3000 < 520
    for line in lines:
        event, _ = decode_record(line)
        assert event is not None
        assert all(getattr(event, name) for name in dimensions)


def test_bulk_events_make_deliveries_that_are_opened_in_the_days_after(tmp_path: Path) -> None:
    bulk.write_ndjson(tmp_path / "a", 100_000, 1, duplicate_share=0.02)
    found = duckdb.execute(
        """
        WITH e AS (SELECT row_number() OVER () AS line, * FROM read_json($path, format = 'newline_delimited')),
             once AS (SELECT * FROM e QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY line) = 1),
             q AS (SELECT delivery_id, occurred_at AS sent_at FROM once WHERE kind = 'queued')
        SELECT (SELECT count(*) FROM once) AS once,
               (SELECT count(DISTINCT delivery_id) FROM once) AS deliveries,
               (SELECT median(line - first) FROM (SELECT line, min(line) OVER (PARTITION BY event_id) AS first FROM e)
                WHERE line > first) AS far,
               (SELECT max(epoch(occurred_at - sent_at)) / 86400 FROM once JOIN q USING (delivery_id)
                WHERE kind = 'opened') AS days,
               (SELECT count(*) FROM once a JOIN once b USING (delivery_id)
                WHERE a.kind = 'bounced' AND b.kind IN ('opened', 'clicked', 'replied')) AS impossible,
               (SELECT count(*) FROM once WHERE occurred_at > received_at) AS early
        """,
        {"path": str(tmp_path / "a")},
    ).fetchone()
    assert found is not None
    once, deliveries, far, days, impossible, early = found

    assert once == 98_000
    assert deliveries == 25_000
    assert far > 10_000
    assert 2 < days < 6
    assert (impossible, early) == (0, 0)


def test_bulk_without_copies_has_none(tmp_path: Path) -> None:
    bulk.write_ndjson(tmp_path / "a", 2_000, 1, duplicate_share=0)
    ids = [json.loads(line)["event_id"] for line in (tmp_path / "a").read_bytes().splitlines()]

    assert len(set(ids)) == len(ids)


def test_a_draw_follows_its_weights_and_never_takes_what_weighs_nothing() -> None:
    rng = np.random.default_rng(1)
    drawn = Counter(weighted(rng, ("a", "b", "c"), (3.0, 1.0, 0.0)) for _ in range(4000))

    assert drawn["a"] / drawn["b"] == pytest.approx(3.0, rel=0.15)
    assert drawn["c"] == 0
