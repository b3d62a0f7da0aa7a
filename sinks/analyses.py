"""The SQL of the ready-made analyses (`schemas.analyses`): views and macros stored in the lake, for whoever attaches it.

A macro's names are looked up where it is called, so all in it is written in full (`lake.store.facts`); a view remembers.
Figures come from the writer's sums (`store.cohorts`, `store.send_hours`) wherever these can tell.
"""

import re
from typing import Final

from features.deliveries import COHORT_KEYS, flags_of_event, has, sent_time
from schemas.analyses import ANALYSES, call_of
from schemas.derive import columns, quoted
from schemas.tables import TABLES
from sinks.store import LATEST_READING, LINKED, STORED_TABLES

_RATE: Final = "{0} / nullif({1}, 0)::DOUBLE"
_WEEK: Final = "(metric_date - (isodow(metric_date) - 1)::INTEGER)"
_HOUR_US: Final = 3_600_000_000
_FEW: Final = 2_000_000
"""More deliveries than any macro looks up of a lake that answers within seconds."""


def _facts_of(found: str) -> str:
    """SQL: the facts of the deliveries whose `key` a CTE has, with that key.

    By semi-join, which looks the many facts up among the few keys; the limit tells the planner that these are few (it took
    the facts to build its hash table of, which cost eight times as much). Only columns that are named are read.
    """
    return f"""(SELECT coalesce(linked, delivery) AS key, wanted.* FROM (
        SELECT * FROM lake.store.facts WHERE delivery IN (SELECT key FROM (SELECT key FROM {found}
            UNION ALL SELECT alias FROM lake.store.links WHERE linked IN (SELECT key FROM {found})) LIMIT {_FEW})) AS wanted
        LEFT JOIN lake.store.links ON delivery = alias)"""


_FUNNEL: Final = """
    SELECT metric_date, campaign_id, channel, persona, account_tier, sum(touched) AS touched, sum(aware) AS awareness,
        sum(interested) AS interest, sum(engaged) AS engagement, sum(met) AS meeting, sum(opportunities) AS opportunity
    FROM lake.store.cohorts GROUP BY ALL HAVING sum(touched) > 0"""

_COUNTED: Final = """sum(sent) AS messages_sent, sum(delivered) AS messages_delivered, sum(opened) AS messages_opened,
        sum(clicked) AS messages_clicked, sum(answered) AS responses_received, sum(positive) AS positive_responses,
        sum(meetings) AS meetings_booked, sum(opportunities) AS opportunities"""

_COHORTS: Final = f"""
    SELECT metric_date, {", ".join(COHORT_KEYS)}, {_COUNTED}, sum(bounced) AS bounced,
        sum(bounced_hard) AS bounced_hard, sum(complained) AS complained, sum(unsubscribed) AS unsubscribed
    FROM lake.store.cohorts GROUP BY ALL HAVING sum(deliveries) > 0"""

_WEEKLY: Final = f"""
    SELECT *, {_RATE.format("messages_delivered", "messages_sent")} AS delivery_rate,
        {_RATE.format("messages_opened", "messages_delivered")} AS open_rate,
        {_RATE.format("responses_received", "messages_delivered")} AS response_rate,
        {_RATE.format("meetings_booked", "messages_delivered")} AS meeting_rate
    FROM (SELECT {_WEEK} AS sent_week, campaign_id, channel, {_COUNTED}
        FROM lake.store.cohorts GROUP BY ALL HAVING sum(sent) > 0)"""

_SEND_HOURS: Final = """
    SELECT sent_hour, campaign_id, channel, persona, sum(sent) AS messages_sent, sum(delivered) AS messages_delivered,
        sum(opened) AS messages_opened, sum(clicked) AS messages_clicked, sum(answered) AS responses_received,
        sum(positive) AS positive_responses, sum(meetings) AS meetings_booked
    FROM lake.store.send_hours GROUP BY ALL HAVING sum(sent) > 0"""


def _wilson(sign: str) -> str:
    """One end of the Wilson score interval of the parameters hits, trials and z."""
    share = "(hits::DOUBLE / trials)"
    spread = f"z * sqrt(greatest({share} * (1 - {share}), 0) / trials + z * z / (4.0 * trials * trials))"
    end = f"({share} + z * z / (2.0 * trials) {sign} {spread}) / (1 + z * z / trials::DOUBLE)"
    return f"CASE WHEN trials > 0 THEN least(greatest({end}, 0), 1) END"


def _interval() -> str:
    """SQL: open and response rate, the interval of the latter, and its ratio to that of all rows of the channel."""
    hits, trials = "responses_received", "messages_delivered"
    ends = (
        _wilson(sign).replace("hits", hits).replace("trials", trials).replace("z *", "1.96 *").replace("* z", "* 1.96")
        for sign in "-+"
    )
    low, high = ends
    all_of = f"sum({hits}) OVER (PARTITION BY channel) / nullif(sum({trials}) OVER (PARTITION BY channel), 0)"
    rate = _RATE.format(hits, trials)
    return f"""{_RATE.format("messages_opened", trials)} AS open_rate, {rate} AS response_rate, {low} AS response_low,
        {high} AS response_high, ({rate}) / nullif({all_of}, 0) AS lift"""


_SEGMENTS: Final = f"""
    SELECT *, {_interval()}
    FROM (SELECT persona, account_tier, channel, sum(sent) AS messages_sent, sum(delivered) AS messages_delivered,
            sum(opened) AS messages_opened, sum(answered) AS responses_received, sum(positive) AS positive_responses,
            sum(meetings) AS meetings_booked
        FROM lake.store.cohorts WHERE metric_date >= since AND metric_date <= until GROUP BY ALL HAVING sum(sent) > 0)"""


def _local(hour: str) -> str:
    """SQL: weekday and hour of an instant in the parameter zone."""
    return f"isodow(timezone(zone, {hour})) AS weekday, hour(timezone(zone, {hour})) AS hour"


_SEND_TIMES: Final = f"""
    SELECT *, {_interval()}
    FROM (SELECT weekday, hour, channel, sum(sent) AS messages_sent, sum(delivered) AS messages_delivered,
            sum(opened) AS messages_opened, sum(answered) AS responses_received
        FROM (SELECT {_local("sent_hour")}, channel, sent, delivered, opened, answered FROM (
            SELECT sent_hour, channel, sum(sent) AS sent, sum(delivered) AS delivered, sum(opened) AS opened,
                sum(answered) AS answered
            FROM lake.store.send_hours
            WHERE sent_hour >= since::TIMESTAMP AT TIME ZONE 'UTC' AND sent_hour < (until + 1)::TIMESTAMP AT TIME ZONE 'UTC'
            GROUP BY ALL))
        GROUP BY ALL HAVING sum(sent) > 0)"""

# Added up by whole hours first: a time zone's arithmetic costs ten times as much as a division.
_ACTIVITY: Final = f"""
    SELECT weekday, hour, channel, kind, sum(events) AS events
    FROM (SELECT {_local("instant")}, channel, kind, events FROM (
        SELECT make_timestamptz(bucket * {_HOUR_US}) AS instant, channel, kind, events FROM (
            SELECT epoch_us(minute) // {_HOUR_US} AS bucket, channel, kind, sum(events) AS events
            FROM lake.store.cells WHERE is_machine IS NOT TRUE GROUP BY ALL)))
    GROUP BY ALL HAVING sum(events) <> 0"""

_DAILY: Final = f"""
    SELECT make_timestamptz(bucket * {24 * _HOUR_US})::DATE AS day, campaign_id, channel, kind, bounce_class, is_machine, events
    FROM (SELECT epoch_us(minute) // {24 * _HOUR_US} AS bucket, campaign_id, channel, kind, bounce_class, is_machine,
            sum(events) AS events
        FROM lake.store.cells GROUP BY ALL HAVING sum(events) <> 0)"""

_RESPONSE_CURVE: Final = f"""
    WITH said AS (SELECT event_id, provider, recipient, arg_max(intent_classification, {LATEST_READING}) AS intent
        FROM lake.store.readings GROUP BY ALL),
    answers AS MATERIALIZED (
        SELECT coalesce(linked, delivery) AS key, min(occurred_at) AS answered_at
        FROM {LINKED} LEFT JOIN said s ON facts.event_id = s.event_id
            AND facts.provider IS NOT DISTINCT FROM s.provider AND facts.recipient IS NOT DISTINCT FROM s.recipient
        WHERE kind = 'replied' AND delivery IS NOT NULL AND intent IS DISTINCT FROM 'out_of_office' GROUP BY key),
    answered AS (
        SELECT key, {sent_time()} AS sent_at, min(campaign_id) AS campaign_id, min(channel) AS channel
        FROM {_facts_of("answers")} GROUP BY key),
    lags AS (
        SELECT sent_at::DATE AS metric_date, campaign_id, channel,
            greatest(1, ceil(epoch(answered_at - sent_at) / 86400))::BIGINT AS day
        FROM answered JOIN answers USING (key)),
    days_of AS (SELECT {_WEEK} AS sent_week, campaign_id, channel, day, count(*) AS found FROM lags GROUP BY ALL),
    cohorts AS (SELECT {_WEEK} AS sent_week, campaign_id, channel, sum(delivered) AS delivered
        FROM lake.store.cohorts GROUP BY ALL HAVING sum(delivered) > 0),
    steps AS (SELECT unnest(range(1, days + 1)) AS day)
    SELECT sent_week, campaign_id, channel, day, responses, delivered, {_RATE.format("responses", "delivered")} AS response_rate
    FROM (SELECT c.sent_week, c.campaign_id, c.channel, s.day, any_value(c.delivered) AS delivered,
            coalesce(sum(d.found) FILTER (d.day <= s.day), 0) AS responses
        FROM cohorts c CROSS JOIN steps s LEFT JOIN days_of d ON c.sent_week = d.sent_week
            AND c.campaign_id IS NOT DISTINCT FROM d.campaign_id AND c.channel IS NOT DISTINCT FROM d.channel
        GROUP BY c.sent_week, c.campaign_id, c.channel, s.day)"""

_TOUCHED: Final = has("sent", "deferred", "delivered", "opened", "machine_opened", "clicked", "machine_clicked", "replied",
    "complained", "unsubscribed", "bounced_hard", "bounced_soft", "bounced_block", "bounced_unknown", "called",
    "connected")  # fmt: skip
_OF_TOUCH: Final = (
    "channel",
    "campaign_id",
    "delivery_id",
    "sequence_step",
    "variant",
    "sender",
    "persona",
    "account_tier",
)

# A person's address is compared by its hash, which facts have; texts of ten million facts cost as much as all the rest.


def _credit(named: str) -> str:
    """SQL: the CTEs up to `credited`; `named` is an aggregate that each outcome carries along."""
    return f"""
    WITH told AS MATERIALIZED (
        SELECT coalesce(linked, delivery, fact) AS key, min(occurred_at) AS outcome_at, {named} AS outcome_name
        FROM {LINKED} WHERE kind = outcome GROUP BY key),
    outcomes AS (SELECT key, outcome_at, outcome_name FROM told),
    whose AS MATERIALIZED (
        SELECT key, min(contact_id) AS contact, min(address) AS address FROM (
            SELECT key, contact_id, address FROM {_facts_of("outcomes")}
            UNION ALL SELECT fact, contact_id, address FROM lake.store.facts WHERE delivery IS NULL AND kind = outcome)
        GROUP BY key),
    contacts AS MATERIALIZED (SELECT DISTINCT contact FROM whose WHERE contact IS NOT NULL),
    addresses AS MATERIALIZED (SELECT DISTINCT address FROM whose WHERE contact IS NULL AND address IS NOT NULL),
    reached AS MATERIALIZED (
        SELECT key, min(contact) AS contact, min(address) AS address FROM (
            SELECT coalesce(linked, delivery) AS key, contact, address FROM (
                SELECT delivery, contact_id AS contact, NULL AS address FROM lake.store.facts
                WHERE contact_id IN (SELECT contact FROM contacts LIMIT {_FEW}) AND delivery IS NOT NULL
                UNION ALL SELECT delivery, NULL, address FROM lake.store.facts
                WHERE address IN (SELECT address FROM addresses LIMIT {_FEW}) AND delivery IS NOT NULL)
            LEFT JOIN lake.store.links ON delivery = alias)
        GROUP BY key),
    deliveries AS (
        SELECT key, bit_or({flags_of_event()}) AS flags, {sent_time()} AS touched_at,
            {", ".join(f"min({name}) AS {name}" for name in _OF_TOUCH)}
        FROM {_facts_of("reached")} GROUP BY key),
    pairs AS (
        SELECT o.key AS outcome_key, outcome_at, outcome_name, contact, address FROM outcomes o LEFT JOIN whose USING (key)),
    touching AS (SELECT * FROM deliveries JOIN reached USING (key) WHERE {_TOUCHED}),
    touched AS (
        SELECT p.outcome_key, p.outcome_at, p.outcome_name, p.contact, d.* EXCLUDE (contact, address, flags),
            row_number() OVER (PARTITION BY outcome_key ORDER BY touched_at, d.key) AS position,
            count(d.key) OVER (PARTITION BY outcome_key) AS touches,
            max(touched_at) OVER (PARTITION BY outcome_key) AS latest
        FROM pairs p LEFT JOIN touching d
            ON coalesce('c' || p.contact, 'a' || p.address) = coalesce('c' || d.contact, 'a' || d.address)
            AND touched_at <= outcome_at AND touched_at > outcome_at - to_seconds(window_days * 86400)),
    weighted AS (
        SELECT *, CASE WHEN key IS NULL THEN 1 ELSE pow(0.5, epoch(latest - touched_at) / 86400 / half_life_days) END AS weight
        FROM touched),
    credited AS (
        SELECT *, (position = 1)::DOUBLE AS first_touch, (position = greatest(touches, 1))::DOUBLE AS last_touch,
            1 / greatest(touches, 1) AS linear, weight / sum(weight) OVER (PARTITION BY outcome_key) AS time_decay
        FROM weighted)"""


_EVENT: Final = "arg_min(event_id, {'at': occurred_at, 'id': event_id})"
_CREDITED: Final = f"""{_credit(_EVENT)},
    nameless AS MATERIALIZED (SELECT key FROM whose WHERE contact IS NULL),
    recipients AS (
        SELECT key AS outcome_key, min(lower(recipient)) AS recipient FROM {_facts_of("nameless")}
        WHERE address IS NOT NULL GROUP BY key)
    SELECT * EXCLUDE (outcome_key, key, latest, weight, contact, recipient), outcome_name AS outcome_event_id,
        coalesce(contact, recipient) AS person, epoch(outcome_at - touched_at) / 86400 AS days_before
    FROM credited LEFT JOIN recipients USING (outcome_key)"""

_ATTRIBUTION: Final = f"""{_credit("NULL")}
    SELECT channel, campaign_id, sequence_step, count(DISTINCT outcome_key) AS outcomes, count(key) AS touches,
        sum(first_touch) AS first_touch, sum(last_touch) AS last_touch, sum(linear) AS linear,
        sum(time_decay) AS time_decay
    FROM credited GROUP BY ALL"""


def _attributed(outcome: str) -> str:
    """The attribution of one kind of outcome with the defaults of the parameters."""
    defaults = {p.name: p.default or "" for p in ANALYSES["attribution"].parameters} | {"outcome": quoted(outcome)}
    made = _ATTRIBUTION
    for name, value in defaults.items():
        made = re.sub(rf"(?<![\w.'])\b{name}\b(?!\w)", value, made)
    return made


def _dictionary() -> str:
    """What `data_dictionary` holds, as VALUES."""
    rows: list[tuple[str | None, ...]] = []
    for name, struct in TABLES.items():
        kind = "table" if name in STORED_TABLES else "view"
        rows.append((name, kind, None, None, " ".join((struct.__doc__ or "").split())))
        rows += [(name, kind, c.name, c.sql_type, c.comment or None) for c in columns(struct)]
    for name, found in ANALYSES.items():
        kind = ("macro" if found.struct else "function") if found.is_macro else "view"
        words = " ".join(((found.struct.__doc__ if found.struct else found.meaning) or "").split())
        rows.append((name, kind, None, call_of(name) if found.is_macro else None, words))
        rows += (
            [(name, kind, c.name, c.sql_type, c.comment or None) for c in columns(found.struct)] if found.struct else []
        )
    listed = ", ".join("(" + ", ".join("NULL" if v is None else quoted(v) for v in row) + ")" for row in rows)
    return f"SELECT * FROM (VALUES {listed}) AS t(object_name, object_kind, column_name, data_type, meaning)"


_RELATIONS: Final = {
    "cohorts": _COHORTS,
    "funnel": _FUNNEL,
    "weekly_cohorts": _WEEKLY,
    "send_hours": _SEND_HOURS,
    "segments": _SEGMENTS,
    "send_times": _SEND_TIMES,
    "activity_hours": _ACTIVITY,
    "daily_activity": _DAILY,
    "response_curve": _RESPONSE_CURVE,
    "credited_touches": _CREDITED,
    "attribution": _ATTRIBUTION,
    "meeting_attribution": _attributed("meeting_booked"),
    "opportunity_attribution": _attributed("opportunity_created"),
    "data_dictionary": _dictionary(),
}
_VALUES: Final = {"wilson_low": _wilson("-"), "wilson_high": _wilson("+")}


def analysis_statements() -> list[str]:
    """Statements that make every view and macro of `schemas.analyses`, in their order."""
    return [_statement(name) for name in ANALYSES]


def _statement(name: str) -> str:
    found = ANALYSES[name]
    if found.struct is None:
        return f"CREATE OR REPLACE MACRO {call_of(name)} AS {_VALUES[name]}"
    listed = ", ".join(f'CAST({c.name} AS {c.sql_type}) AS "{c.name}"' for c in columns(found.struct))
    select = f"SELECT {listed} FROM ({_RELATIONS[name]})"
    return f"CREATE OR REPLACE {f'MACRO {call_of(name)} AS TABLE' if found.is_macro else f'VIEW {name} AS'} {select}"
