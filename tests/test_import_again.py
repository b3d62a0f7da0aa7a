"""A list that is imported twice changes nothing, whatever is in it, in whatever form it comes again."""

import gzip
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from tests.lakes import differences, land, rows, tables, works
from tests.processes import free_port, run, start, stop, wait_until
from tests.test_import_lists import bring, event, written

LISTS: Final = {
    "contacts": (
        "contacts",
        (
            "contact_id,email,persona,tier,tz,account,value,Favourite tea,notes\n"
            'c1,Ada@Firm.example,CFO,gold,Europe/Berlin,acme,1200.50,"Earl, Grey","says ""hi""\nand goes"\n'
            "c2,bob@firm.example,,silver,UTC,,0,,\n"
            "c3,,,,,,,,\n"
            "c1,ada@firm.example,CTO,gold,America/Sao_Paulo,acme,1e3,Assam,naïve ☕\n"
            "c5,eve@firm.example,CFO,gold,Mars/Olympus,acme,-1,,\n"
        ),
    ),
    "campaigns": (
        "campaign_plans",
        (
            "campaign,strategy_id,launch,end_date,targets,steps,sequence_template_id,budget,settings,throttling,Owner\n"
            'autumn,s-1,2026-01-05,2026-02-01T10:00:00+01:00,300,3,t-9,99.90,"{""b"": 1, ""a"": [1, 2]}",50 a day,ida\n'
            "spring,,,,,,,,,,\n"
            "winter,s-2,2025-10-26 02:30,,0,,,0,,,\n"
        ),
    ),
    "messages": (
        "campaign_messaging",
        (
            "campaign,step,variant,channel,subject,text,Tone\n"
            'autumn,1,A,email,Hello,"two\nlines",warm\n'
            "autumn,1,B,email,,x,\n"
            "autumn,2,,linkedin_message,Again,,\n"
            "autumn,2,,linkedin_message,Again and again,,\n"
            "spring,1,A,pigeon,Coo,coo,\n"
        ),
    ),
}
"""By kind: the table, and a list with odd cells, empty ones, columns of its own, an id twice and rows that cannot be used."""
ZONE: Final = ("--time-zone", "Europe/Berlin")


@pytest.fixture
def met(home: Path) -> Path:
    """A home with events of the people and campaigns of the lists."""
    told = [event(kind, number, number) for number in (1, 2, 3) for kind in ("sent", "delivered", "opened")]
    land(home, works(told, [4]))
    return home


def stored(home: Path, table: str) -> list[tuple[object, ...]]:
    """All rows, with when each was imported, and all figures."""
    return [*rows(home, f"SELECT * FROM {table} ORDER BY ALL"), *rows(home, "SELECT * FROM store.cohorts ORDER BY ALL")]


@pytest.mark.parametrize("kind", LISTS)
def test_a_second_import_of_a_list_changes_no_row_and_no_figure(kind: str, met: Path) -> None:
    table, text = LISTS[kind]
    path = written(met.parent / f"{kind}.csv", text)
    first = bring(met, kind, path, *ZONE)
    assert first.exit_code in {0, 3}
    assert " new, 0 changed, 0 unchanged" in first.stderr
    before, figures = stored(met, table), tables(met)
    number = len(rows(met, f"SELECT 1 FROM {table}"))
    assert number >= 2

    for again in (path, written(met.parent / "renamed.csv", text)):
        second = bring(met, kind, again, *ZONE)
        assert second.exit_code == first.exit_code
        assert f"0 new, 0 changed, {number} unchanged" in second.stderr
    assert stored(met, table) == before
    assert differences(figures, tables(met)) == []


@pytest.mark.parametrize("kind", LISTS)
def test_the_same_list_in_another_form_changes_nothing(kind: str, met: Path) -> None:
    table, text = LISTS[kind]
    assert bring(met, kind, written(met.parent / f"{kind}.csv", text), *ZONE).exit_code in {0, 3}
    before = stored(met, table)
    frame = pl.read_csv(text.encode(), infer_schema=False)

    packed = met.parent / f"{kind}.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    parquet, tabbed = met.parent / f"{kind}.parquet", met.parent / f"{kind}.tsv.csv"
    frame.write_parquet(parquet)
    frame.write_csv(tabbed, separator="\t")
    for path in (packed, parquet, tabbed):
        done = bring(met, kind, path, *ZONE)
        assert done.exit_code in {0, 3}, done.stderr
        assert "0 new, 0 changed, " in done.stderr, path.name
    assert stored(met, table) == before


def test_a_list_comes_twice_while_up_runs(met: Path) -> None:
    table, text = LISTS["contacts"]
    path = written(met.parent / "contacts.csv", text)
    env = {"OUTPULSE_GATEWAY__PORT": str(free_port()), "OUTPULSE_QUALITY__EVERY_MINUTES": "0"}
    up = start("up", "--no-dashboard", "--home", str(met), env=env)
    try:
        wait_until(lambda: "running" in run("status", "--home", str(met), env=env).stdout, what="the flows' start")
        first = run("import", "contacts", str(path), "--home", str(met), env=env)
        assert "3 new, 0 changed, 0 unchanged" in first.stderr
        before = stored(met, table)
        second = run("import", "contacts", str(path), "--home", str(met), env=env)
        assert "0 new, 0 changed, 3 unchanged" in second.stderr
        assert stored(met, table) == before
    finally:
        assert stop(up) == 0
