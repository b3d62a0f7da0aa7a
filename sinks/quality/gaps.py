"""What is missing, measured against what is usual: days without or with few events, events that do not say whose, dead letters.

A lake knows what is usual of a weekday once it has two more of the same within four weeks. Of those the quarter with the
fewest events is what a day is judged by, so that weekends and campaigns of every other week are no gaps. A bank holiday may be
told as a thin day, for six weeks.
"""

from typing import Final

BUSY: Final = 50
"""Events of a day that make an empty day beside it, or a week after it, worth a look."""
_THIN: Final = 0.05
"""A day with less than this share of its usual events is thin. A holiday keeps more: opens of the days before trickle in."""
_LONGEST: Final = 7
"""More days in a row are a pause in sending (a summer, a next campaign), no outage: `lands_in_time` tells those."""
_LOOKS_BACK: Final = 42
"""Days before the newest that are judged: nobody mends what was long ago, and a bank holiday must not be told for ever."""
_MANY: Final = 100
"""Events of a kind in each of two windows that make their shares comparable: 5 standard deviations are below 0.25."""
MORE_NAMELESS: Final = 0.25
"""By how much the share of a kind's events that name something may be less than in the three days before."""
NAMING: Final = ("campaign", "recipient", "delivery")
_DAY_US: Final = 86_400_000_000

GAPS: Final = {
    # Epoch day 0 was a Thursday, so days 2 and 3 of each seven are Saturday and Sunday.
    "days": f"""
        WITH counted AS (
            SELECT epoch_us(minute) // {_DAY_US} AS day, sum(events) AS events FROM store.cells
            GROUP BY 1 HAVING sum(events) > 0),
        near AS (SELECT day FROM (
            SELECT unnest(range(day - 7, day + 8)) AS day FROM counted WHERE events >= {BUSY}) GROUP BY 1),
        days AS (
            SELECT day, coalesce(events, 0) AS events FROM near LEFT JOIN counted USING (day)
            WHERE day > (SELECT min(day) FROM counted) AND day < (SELECT max(day) FROM counted)),
        usual AS (
            SELECT d.day, any_value(d.events) AS events, count(o.day) AS weeks, quantile_disc(o.events, 0.25) AS usual
            FROM days d LEFT JOIN (
                SELECT day + 7 * week AS day, events FROM days, (VALUES (-4), (-3), (-2), (-1), (1), (2), (3), (4)) AS w(week)
            ) o ON o.day = d.day GROUP BY ALL),
        judged AS (
            SELECT day, events, weeks >= 2 AS is_known, CASE WHEN weeks >= 2 THEN usual >= {BUSY} AND events < {_THIN} * usual
                ELSE events = 0 END AS is_thin
            FROM usual),
        runs AS (
            SELECT min(day) AS first_day, max(day) AS last_day, max(events) AS most, bool_or(is_known) AS is_known,
                bool_or(day % 7 IN (2, 3)) AS has_weekend
            FROM (SELECT *, day - row_number() OVER (ORDER BY day) AS run FROM judged WHERE is_thin) GROUP BY run),
        gaps AS (
            SELECT most, last_day - first_day + 1 AS days FROM runs
            LEFT JOIN counted b ON b.day = first_day - 1 LEFT JOIN counted a ON a.day = last_day + 1
            WHERE last_day - first_day < {_LONGEST} AND a.events >= {BUSY}
                AND last_day > (SELECT max(day) FROM counted) - {_LOOKS_BACK}
                AND (is_known OR (b.events >= {BUSY} AND NOT has_weekend)))
        SELECT coalesce(sum(days) FILTER (most = 0), 0)::BIGINT AS missing_days,
            coalesce(sum(days) FILTER (most > 0), 0)::BIGINT AS thin_days FROM gaps""",
    "named": f"""
        WITH ends AS MATERIALIZED (SELECT least(max(minute), now()) - INTERVAL 24 HOUR AS since FROM store.cells),
        windows AS (
            SELECT provider, kind, occurred_at > (SELECT since FROM ends) AS is_new, count(*) AS events,
                count(campaign_id) / count(*) AS campaign, count(coalesce(recipient, contact_id)) / count(*) AS recipient,
                count(coalesce(delivery_id, message_id)) / count(*) AS delivery
            FROM store.facts WHERE occurred_at > (SELECT since - INTERVAL 3 DAY FROM ends) GROUP BY ALL)
        SELECT n.provider, n.kind, {", ".join(f"u.{n} - n.{n} AS less_{n}" for n in NAMING)}
        FROM windows n JOIN windows u ON n.is_new AND NOT u.is_new AND u.kind = n.kind
            AND u.provider IS NOT DISTINCT FROM n.provider
        WHERE n.events >= {_MANY} AND u.events >= {_MANY}""",
    "letters": f"""
        WITH ends AS (
            SELECT greatest((SELECT max(minute) FROM store.cells), (SELECT max(received_at) FROM dead_letters)) AS ends),
        since AS (SELECT least(ends, now()) - INTERVAL 24 HOUR AS since FROM ends),
        letters AS (SELECT count(*) AS letters FROM dead_letters WHERE received_at > (SELECT since FROM since)),
        events AS (
            SELECT greatest((SELECT count(*) FROM store.facts WHERE received_at > (SELECT since FROM since)),
                (SELECT coalesce(sum(events), 0) FROM store.cells WHERE minute > (SELECT since FROM since))) AS events)
        SELECT CASE WHEN letters >= {_MANY} THEN letters / (letters + events) END AS new_dead_share FROM letters, events""",
}
"""Name of a measure -> its SELECT."""
