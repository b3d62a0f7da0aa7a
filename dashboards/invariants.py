"""What must hold of the figures at any instant: each query is named as a sentence and returns rows that break it."""

from collections.abc import Mapping
from typing import Final

INVARIANTS: Final[Mapping[str, str]] = {
    "Every event is counted in exactly one minute": """
        SELECT facts, counted FROM (
            SELECT (SELECT count(*) FROM store.facts) AS facts,
                (SELECT coalesce(sum(events), 0) FROM store.cells) AS counted
        ) WHERE facts <> counted""",
    "No campaign has more delivered than sent on a day": """
        SELECT campaign_id, metric_date, messages_sent, messages_delivered FROM campaign_performance_metrics
        WHERE messages_delivered > messages_sent OR messages_sent > deliveries""",
    "Only delivered messages are opened, clicked, answered or complained of": """
        SELECT campaign_id, metric_date, messages_delivered FROM campaign_performance_metrics
        WHERE greatest(messages_opened, messages_clicked, responses_received, complained, unsubscribed)
            > messages_delivered""",
    "Every rate lies between 0 and 1": """
        SELECT campaign_id, metric_date FROM campaign_performance_metrics
        WHERE greatest(delivery_rate, open_rate, click_rate, response_rate, bounce_rate, complaint_rate,
                unsubscribe_rate) > 1
            OR least(delivery_rate, open_rate, click_rate, response_rate, bounce_rate, complaint_rate,
                unsubscribe_rate) < 0""",
    "No message is sent after the newest event": """
        SELECT campaign_id, metric_date FROM campaign_performance_metrics
        WHERE metric_date > (SELECT max(newest) FROM store.commits)::DATE""",
}
