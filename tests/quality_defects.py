"""What is done to a healthy lake, and the check that must find it."""

ONE_FACT = "rowid = (SELECT min(rowid) FROM store.facts WHERE kind = '{}')"
ONE_COHORT = "rowid = (SELECT min(rowid) FROM store.cohorts WHERE delivered > 5 AND answered >= 0)"
ONE_NEW_COHORT = "rowid = (SELECT max(rowid) FROM store.cohorts WHERE metric_date = DATE '2026-01-29')"
ONE_NEW_CELL = "rowid = (SELECT max(rowid) FROM store.cells WHERE minute::DATE = DATE '2026-01-29')"
ONE_HOUR = "rowid = (SELECT min(rowid) FROM store.send_hours)"
ONE_READING = "rowid = (SELECT min(rowid) FROM store.readings)"
IMPORTED = "TIMESTAMPTZ '2026-01-01'"
PAUSE = """INSERT INTO pauses (id, action, send_share, scope_kind, scope_value, occurred_at, decided_at, decided_by, why,
    trials, hits) SELECT uuid(), '{}', {}, '{}', '{}', now(), now(), 'ada', 'test', {}, {}"""

DEFECTS: dict[str, tuple[str, str]] = {
    "a fact twice": (
        f"INSERT INTO store.facts SELECT * FROM store.facts WHERE {ONE_FACT.format('delivered')}",
        "facts.no_duplicates",
    ),
    "a fact without time": (
        f"UPDATE store.facts SET occurred_at = NULL WHERE {ONE_FACT.format('opened')}",
        "facts.has_time",
    ),
    "a fact without event_id": (
        f"UPDATE store.facts SET event_id = '' WHERE {ONE_FACT.format('opened')}",
        "facts.has_event_id",
    ),
    "a day without events": (
        "DELETE FROM store.cells WHERE minute::DATE = DATE '2026-01-28'",
        "freshness.no_missing_day",
    ),
    "an impossible kind": (
        f"UPDATE store.facts SET kind = 'teleported' WHERE {ONE_FACT.format('opened')}",
        "facts.known_kind",
    ),
    "an impossible channel": (
        f"UPDATE store.facts SET channel = 'pigeon' WHERE {ONE_FACT.format('opened')}",
        "facts.known_channel",
    ),
    "an impossible bounce class": (
        f"UPDATE store.facts SET bounce_class = 'rubber' WHERE {ONE_FACT.format('bounced')}",
        "facts.known_bounce_class",
    ),
    "a bounce class of an open": (
        f"UPDATE store.facts SET bounce_class = 'hard' WHERE {ONE_FACT.format('opened')}",
        "facts.class_only_of_bounces",
    ),
    "a machine that delivers": (
        f"UPDATE store.facts SET is_machine = true WHERE {ONE_FACT.format('delivered')}",
        "facts.machines_open_or_click",
    ),
    "a time to come": (
        f"UPDATE store.facts SET occurred_at = now() + INTERVAL 3 DAY WHERE {ONE_FACT.format('opened')}",
        "facts.not_ahead",
    ),
    "a time before e-mail was sold": (
        f"UPDATE store.facts SET occurred_at = TIMESTAMPTZ '1987-01-01' WHERE {ONE_FACT.format('opened')}",
        "facts.not_too_early",
    ),
    "nothing landed for a week": (
        "UPDATE store.commits SET landed_at = now() - INTERVAL 7 DAY",
        "freshness.lands_in_time",
    ),
    "more delivered than sent": (
        f"UPDATE store.cohorts SET delivered = sent + 1000 WHERE {ONE_COHORT}",
        "figures.delivered_within_sent",
    ),
    "more opened than delivered": (
        f"UPDATE store.cohorts SET opened = delivered + 1000 WHERE {ONE_COHORT}",
        "figures.opened_within_delivered",
    ),
    "negative counts": (
        f"UPDATE store.cohorts SET clicked = -1000 WHERE {ONE_COHORT}",
        "figures.no_negative_counts",
    ),
    "a rate above 1": (
        f"UPDATE store.cohorts SET complained = delivered + 1000 WHERE {ONE_COHORT}",
        "figures.complaint_rate_within_1",
    ),
    "a cohort of a day to come": (
        f"UPDATE store.cohorts SET metric_date = current_date + 9 WHERE {ONE_COHORT}",
        "figures.cohorts_not_ahead",
    ),
    "cells that disagree with facts": (
        "UPDATE store.cells SET events = events + 1 WHERE rowid = (SELECT min(rowid) FROM store.cells)",
        "figures.cells_equal_facts",
    ),
    "negative cells": (
        "INSERT INTO store.cells SELECT minute, 'nobody', channel, kind, bounce_class, is_machine, -1 FROM store.cells LIMIT 1",
        "figures.no_negative_cells",
    ),
    "cohorts that disagree with facts": (
        f"DELETE FROM store.cohorts WHERE {ONE_COHORT}",
        "figures.cohorts_equal_facts",
    ),
    "corrections that do not balance": (
        "INSERT INTO store.corrections (occurred_at, kind, events) VALUES (now(), 'opened', 1)",
        "figures.corrections_balance",
    ),
    "a suspect that is no delivery": ("INSERT INTO store.suspects VALUES (42, 1)", "figures.suspects_exist"),
    "a reading of no reply": (
        f"UPDATE store.readings SET event_id = 'gone' WHERE {ONE_READING}",
        "replies.readings_have_replies",
    ),
    "words of no reply": (
        "UPDATE store.replies SET event_id = 'gone' WHERE rowid = (SELECT min(rowid) FROM store.replies)",
        "replies.words_have_replies",
    ),
    "a reading twice": (
        f"INSERT INTO store.readings SELECT * FROM store.readings WHERE {ONE_READING}",
        "replies.readings_once",
    ),
    "an impossible intent": (
        f"UPDATE store.readings SET intent_classification = 'in_love' WHERE {ONE_READING}",
        "replies.known_intent_classification",
    ),
    "a sentiment of 3": (
        f"UPDATE store.readings SET sentiment_score = 3 WHERE {ONE_READING}",
        "replies.most_sentiment_in_range",
    ),
    "a confidence of -1": (
        f"UPDATE store.readings SET ai_confidence_score = -1 WHERE {ONE_READING}",
        "replies.least_confidence_in_range",
    ),
    "an impossible action": (PAUSE.format("explode", 0, "campaign", "x", 1, 1), "decisions.known_action"),
    "a share of 2": (PAUSE.format("slow", 2, "campaign", "x", 1, 1), "decisions.most_share_in_range"),
    "more hits than trials": (PAUSE.format("pause", 0, "campaign", "x", 1, 2), "decisions.hits_within_trials"),
    "a pause of nothing": (PAUSE.format("pause", 0, "campaign", "", 1, 1), "decisions.pauses_have_scope"),
    "two active versions": (
        f"INSERT INTO models (name, version, active, created_at) SELECT 'x', v, true, {IMPORTED} FROM range(2) t(v)",
        "decisions.one_active_version",
    ),
    "mostly dead letters": (
        (
            "UPDATE store.commits SET dead_letters = 1; INSERT INTO dead_letters (id, stage, reason, raw) "
            "SELECT uuid(), 'decode', 'not JSON', 'x'::BLOB FROM range(50000)"
        ),
        "decisions.few_dead_letters",
    ),
    "a contact twice": (
        f"INSERT INTO contacts (contact_id, imported_at) SELECT 'c1', {IMPORTED} FROM range(2)",
        "imports.contacts_once",
    ),
    "a zone on Mars": (
        f"INSERT INTO contacts (contact_id, timezone, imported_at) VALUES ('c9', 'Mars/Olympus', {IMPORTED})",
        "imports.zones_exist",
    ),
    "an account worth less than nothing": (
        f"INSERT INTO contacts (contact_id, account_value, imported_at) VALUES ('c9', -1, {IMPORTED})",
        "imports.account_value_not_negative",
    ),
    "a campaign that ends before it starts": (
        (
            "INSERT INTO campaign_plans (campaign_id, launch_date, completion_date, imported_at) "
            f"VALUES ('x', now(), now() - INTERVAL 1 DAY, {IMPORTED})"
        ),
        "imports.ends_after_start",
    ),
    "a message of no campaign": (
        f"INSERT INTO campaign_messaging (id, campaign_id, body, imported_at) VALUES ('m', 'nowhere', 'x', {IMPORTED})",
        "imports.messages_have_campaigns",
    ),
    "one open less than there was": (
        f"UPDATE store.cohorts SET opened = opened - 1, opened_strict = opened_strict - 1 WHERE {ONE_NEW_COHORT}",
        "figures.cohorts_recounted",
    ),
    **{
        f"one {name} less than there was in a cohort": (
            f"UPDATE store.cohorts SET {name} = {name} - 1 WHERE {ONE_NEW_COHORT}",
            "figures.cohorts_recounted",
        )
        for name in (
            "deliveries",
            "sent",
            "clicked",
            "bounced",
            "replied",
            "meetings",
            "engaged",
            "opened_strict",
            "unsubscribed",
        )
    },
    "an answer more in an hour of sending": (
        f"UPDATE store.send_hours SET answered = answered + 1 WHERE {ONE_HOUR}",
        "figures.send_hours_equal_cohorts",
    ),
    "an hour of sending that is another": (
        "UPDATE store.send_hours SET sent_hour = date_trunc('day', sent_hour) WHERE sent_hour >= TIMESTAMPTZ '2026-01-30'",
        "figures.send_hours_recounted",
    ),
    "a cell of another campaign": (
        "UPDATE store.cells SET campaign_id = 'another' WHERE minute::DATE = DATE '2026-01-24' AND kind = 'opened'",
        "figures.cells_equal_facts",
    ),
    "a cell of another day": (
        "UPDATE store.cells SET minute = minute - INTERVAL 1 DAY WHERE minute::DATE = DATE '2026-01-25'",
        "figures.cells_equal_facts",
    ),
    "a cell of another minute": (
        f"UPDATE store.cells SET minute = minute + INTERVAL 1 MINUTE WHERE {ONE_NEW_CELL}",
        "figures.cells_recounted",
    ),
    **{
        f"more {less} than {more}": (
            f"UPDATE store.cohorts SET {less} = {more} + 1000 WHERE {ONE_COHORT}",
            f"figures.{less}_within_{more}",
        )
        for more, less in (
            ("touched", "aware"),
            ("aware", "interested"),
            ("interested", "engaged"),
            ("engaged", "met"),
            ("met", "opportunities"),
            ("touched", "sent"),
            ("aware", "delivered"),
            ("deliveries", "touched"),
            ("engaged", "answered"),
            ("met", "meetings"),
            ("delivered", "machine_opened"),
            ("replied", "read"),
            ("deliveries", "rejected"),
            ("deliveries", "failed"),
        )
    },
    "events that lost their recipient": (
        f"UPDATE store.facts SET recipient = NULL WHERE {ONE_FACT.format('opened')}",
        "facts.identities_hold",
    ),
    "an event that lost its delivery": (
        f"UPDATE store.facts SET delivery = NULL WHERE {ONE_FACT.format('opened')}",
        "facts.deliveries_hold",
    ),
    "an event of another delivery": (
        f"UPDATE store.facts SET delivery_id = 'another' WHERE {ONE_FACT.format('opened')}",
        "facts.deliveries_hold",
    ),
    **{
        f"events that no longer name a {what}": (
            f"UPDATE store.facts SET {lost} WHERE occurred_at > TIMESTAMPTZ '2026-01-30' AND kind = 'delivered'",
            f"facts.{what}_named",
        )
        for what, lost in {
            "campaign": "campaign_id = NULL",
            "recipient": "recipient = NULL, contact_id = NULL",
            "delivery": "delivery_id = NULL, message_id = NULL",
        }.items()
    },
    "two days without events": (
        "DELETE FROM store.cells WHERE minute::DATE BETWEEN DATE '2026-01-27' AND DATE '2026-01-28'",
        "freshness.no_missing_day",
    ),
    "dead letters of today beside many events of long ago": (
        (
            "INSERT INTO store.commits SELECT 1, 'past', 1, 100000000, 0, 0, NULL, now(); "
            "INSERT INTO dead_letters (id, stage, reason, raw, received_at) "
            "SELECT uuid(), 'normalize', 'not JSON', 'x'::BLOB, now() FROM range(20000)"
        ),
        "decisions.few_new_dead_letters",
    ),
    **{
        f"an impossible {column} of {table}": (f"UPDATE {table} SET {column} = 'odd'", f"decisions.{name}")
        for table, column, name in (
            ("campaign_experiments", "experiment_type", "known_experiment_type"),
            ("campaign_experiments", "experiment_status", "known_experiment_status"),
            ("ai_learning_events", "event_type", "known_learning_event_type"),
            ("ai_learning_events", "application_scope", "known_learning_application_scope"),
            ("ai_learning_events", "implementation_status", "known_learning_implementation_status"),
            ("optimization_actions", "optimization_trigger", "known_optimization_trigger"),
            ("optimization_actions", "optimization_status", "known_optimization_status"),
            ("alerts", "severity", "known_alerts_severity"),
            ("alerts", "status", "known_alerts_status"),
            ("feedback", "field", "known_feedback_field"),
        )
    },
    **{
        f"a row of {table} twice": (
            f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1",
            f"decisions.{name}_once",
        )
        for table, name in (
            ("campaign_experiments", "experiments"),
            ("ai_learning_events", "learning"),
            ("optimization_actions", "actions"),
            ("alerts", "alerts"),
            ("feedback", "feedback"),
        )
    },
    "an experiment without a name": (
        "UPDATE campaign_experiments SET experiment_name = ' '",
        "decisions.experiments_named",
    ),
    "an experiment that ends before it starts": (
        "UPDATE campaign_experiments SET end_date = start_date - INTERVAL 1 DAY",
        "decisions.experiments_end_after_start",
    ),
    "an alert without a title": ("UPDATE alerts SET title = ''", "decisions.alerts_titled"),
    "an alert sent less than never": ("UPDATE alerts SET attempts = -1", "decisions.attempts_not_negative"),
    "a correction of nothing": ("UPDATE feedback SET event_id = ''", "decisions.feedback_of_replies"),
    "a correction by nobody": ("UPDATE feedback SET given_by = ''", "decisions.feedback_by_somebody"),
    "a lesson surer than sure": (
        "UPDATE ai_learning_events SET confidence_level = 1.5",
        "decisions.most_learning_confidence_in_range",
    ),
    "a lesson less sure than not at all": (
        "UPDATE ai_learning_events SET confidence_level = -0.5",
        "decisions.least_learning_confidence_in_range",
    ),
}
"""What is done to a healthy lake, and the check that must find it."""
