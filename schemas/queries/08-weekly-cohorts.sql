-- Question: Do messages of later weeks do better than those of earlier ones?
-- Read: A row is what has become until now of what was sent in that week. The newest week still rises.
SELECT sent_week,
       sum(messages_sent)::BIGINT AS sent,
       sum(messages_delivered)::BIGINT AS delivered,
       sum(responses_received)::BIGINT AS responses,
       sum(meetings_booked)::BIGINT AS meetings,
       round(responses / nullif(delivered, 0), 4) AS response_rate
FROM weekly_cohorts
GROUP BY sent_week
ORDER BY sent_week;
