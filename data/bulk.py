"""Canonical events by the million, for measuring: realistic in structure, written by DuckDB, without people or truth.

Each line is a function of its row number and the arguments, nothing is kept between lines: memory stays flat, and the
same arguments give the same bytes (with the same DuckDB, whose `hash` is the only randomness).

    python -m data.bulk --events 1000000 --out events.ndjson
"""

import argparse
from pathlib import Path
from typing import Final

import duckdb

from data.clock import DAY_MS
from data.habits import PEAK_HOURS
from data.places import TIERS

END_MS: Final = 1_769_904_000_000
"""2026-02-01T00:00:00Z, where the span of days ends."""
ROWS_PER_DELIVERY: Final = 4
"""Queued, delivered or bounced, opened, and one more."""
BOUNCE_EVERY: Final = 53
"""Every 53rd delivery bounces: 1.9 %, the usual rate of a fair list. A prime, so that it falls on no pattern."""
LAG_DAYS: Final = 0.7
LONGEST_LAG_DAYS: Final = 5.0
"""Opens and what follows come this long after sending: mean and longest."""
MEMORY_LIMIT: Final = "512MB"
THREADS: Final = 2
"""Columns are streamed; this is room for the rows under way."""

_ROWS: Final = """
WITH rows AS (  -- the last row of each period is a copy of an earlier row that is none
    SELECT row, row % {copy_period} = {copy_period} - 1 AND row > 0 AS is_copy,
           (hash(row, {seed} + 3) >> 1)::BIGINT % GREATEST(row, 1) AS earlier
    FROM range({events}) AS numbers(row)
), sources AS (
    SELECT row, CASE WHEN NOT is_copy THEN row
                     WHEN earlier % {copy_period} = {copy_period} - 1 THEN earlier - 1
                     ELSE earlier END AS source
    FROM rows
), drawn AS (
    SELECT source, source // {rows_per_delivery} AS own, source % {rows_per_delivery} AS slot,
           (hash(source, {seed}) >> 1)::BIGINT AS h, (hash(source, {seed} + 1) >> 1)::BIGINT AS h2,
           (h2 >> 44) % 1000 AS roll,
           {start_ms} + row * {span_ms} // {events} AS arrival_ms
    FROM sources
), lagged AS (  -- opens and later facts are of deliveries of the past days; a deferral is of this one
    SELECT *, slot >= 2 AND NOT (slot = 3 AND roll >= 880 AND roll < 950) AS is_later,
           LEAST(-ln(((h2 % 1000000)::DOUBLE + 1) / 1000001) * {lag}, {longest_lag})::BIGINT AS lag
    FROM drawn
), aimed AS (
    SELECT *, CASE WHEN is_later THEN own - lag % (own + 1) ELSE own END AS target FROM lagged
), linked AS (  -- nobody opens what bounced; the delivery after it did not bounce
    SELECT *, CASE WHEN is_later AND target % {bounce_every} = 7 THEN target + 1 ELSE target END AS d FROM aimed
), timed AS (  -- mostly seconds late, one in forty up to six hours
    SELECT *, (hash(d, {seed} + 2) >> 1)::BIGINT AS who, CASE WHEN is_later THEN h ELSE who END AS luck,
           CASE WHEN luck % 40 > 0 THEN (luck >> 8) % 30000 ELSE (luck >> 8) % 21600000 END AS late_ms,
           {start_ms} + (CASE WHEN is_later THEN source ELSE source - slot END) * {span_ms} // {events}
               - late_ms + CASE WHEN is_later THEN 0 ELSE slot * (1000 + h % 14000) END AS occurred_ms
    FROM linked
), told AS (
    SELECT *, who % {campaigns} AS campaign, (who >> 8) % 200000 AS contact,
           GREATEST(arrival_ms, occurred_ms) AS received_ms,
           CASE slot WHEN 0 THEN 'queued'
                     WHEN 1 THEN CASE WHEN d % {bounce_every} = 7 THEN 'bounced' ELSE 'delivered' END
                     WHEN 2 THEN 'opened'
                     ELSE CASE WHEN roll < 640 THEN 'opened' WHEN roll < 880 THEN 'clicked'
                               WHEN roll < 950 THEN 'deferred' WHEN roll < 985 THEN 'replied'
                               WHEN roll < 997 THEN 'unsubscribed' ELSE 'complained' END
           END AS kind
    FROM timed
)"""

_LINE: Final = """
SELECT concat(
    '{{"event_id":"', printf('%016x', h), '","kind":"', kind,
    '","occurred_at":"', strftime(make_timestamp_ms(occurred_ms), '%Y-%m-%dT%H:%M:%S.%gZ'),
    '","received_at":"', strftime(make_timestamp_ms(received_ms), '%Y-%m-%dT%H:%M:%S.%gZ'),
    '","channel":"email","provider":"sendgrid","campaign_id":"cmp-', campaign,
    '","delivery_id":"dlv-', d, '","message_id":"', printf('%016x', who),
    '","contact_id":"con-', contact, '","recipient":"person', contact, '@',
    CASE contact % 10 WHEN 0 THEN 'outlook' WHEN 1 THEN 'yahoo' WHEN 2 THEN 'gmail' WHEN 3 THEN 'gmail'
                      ELSE 'company' || (contact % 2003) END, '.example',
    '","sender":"sender', campaign % 7, '@brightloom.example","sequence_step":"', 1 + (who >> 32) % 4,
    '","variant":"', CASE WHEN (who >> 40) % 2 = 0 THEN 'A' ELSE 'B' END,
    '","persona":"', {personas}[1 + contact % len({personas})],
    '","account_tier":"', {tiers}[1 + contact // 7 % len({tiers})], '"',
    CASE WHEN kind = 'bounced' AND h % 10 < 7 THEN ',"bounce_class":"hard","reason":"550 5.1.1 No such user"'
         WHEN kind = 'bounced' THEN ',"bounce_class":"block","reason":"550 5.7.1 Rejected for policy reasons"'
         WHEN kind IN ('opened', 'clicked') AND (h >> 24) % 100 < 35 THEN ',"is_machine":true'
         WHEN kind IN ('opened', 'clicked') THEN ',"is_machine":false' ELSE '' END,
    CASE WHEN kind = 'clicked' THEN ',"url":"https://go.brightloom.example/page/' || (h % 40) || '"' ELSE '' END,
    ',"attributes":{{"ip":"192.0.2.', h % 256, '"}}}}')
FROM told"""


def write_ndjson(
    path: Path | str,
    events: int,
    seed: int,
    *,
    days: float = 30,
    campaigns: int = 20,
    duplicate_share: float = 0.01,
) -> None:
    """Writes `events` lines of canonical NDJSON, copies among them, in the order of arrival over `days`."""
    span_ms = int(days * DAY_MS)
    per_day = events / ROWS_PER_DELIVERY / days
    query = (_ROWS + _LINE).format(
        events=int(events),
        seed=int(seed),
        campaigns=int(campaigns),
        copy_period=round(1 / duplicate_share) if duplicate_share > 0 else events + 1,
        rows_per_delivery=ROWS_PER_DELIVERY,
        bounce_every=BOUNCE_EVERY,
        start_ms=END_MS - span_ms,
        span_ms=span_ms,
        lag=f"{LAG_DAYS * per_day:e}",  # with an exponent it is a DOUBLE, without one a slow DECIMAL
        longest_lag=round(LONGEST_LAG_DAYS * per_day),
        personas=list(PEAK_HOURS),
        tiers=list(TIERS),
    )
    target = str(path).replace("'", "''")
    with duckdb.connect(config={"threads": THREADS, "memory_limit": MEMORY_LIMIT}) as connection:
        connection.execute(
            f"COPY ({query}) TO '{target}' (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\\x01')"
        )


def main(argv: list[str] | None = None) -> None:
    """Writes canonical events for measuring to a file."""
    parser = argparse.ArgumentParser(prog="python -m data.bulk", description=main.__doc__)
    parser.add_argument("--events", type=int, required=True, help="lines, copies included")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--campaigns", type=int, default=20)
    parser.add_argument("--duplicates", type=float, default=0.01, help="share of lines that are copies")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    write_ndjson(
        args.out,
        args.events,
        args.seed,
        days=args.days,
        campaigns=args.campaigns,
        duplicate_share=args.duplicates,
    )


if __name__ == "__main__":
    main()
