-- Question: When do people open mail and answer?
-- Read: Events by their own time, machines left out: this is when people sit at their desk, not when it is best to send.
SELECT hour,
       coalesce(sum(events) FILTER (kind = 'opened'), 0)::BIGINT AS opens,
       coalesce(sum(events) FILTER (kind = 'clicked'), 0)::BIGINT AS clicks,
       coalesce(sum(events) FILTER (kind = 'replied'), 0)::BIGINT AS replies
FROM activity_hours()
WHERE channel = 'email' AND weekday <= 5
GROUP BY hour
ORDER BY hour;
