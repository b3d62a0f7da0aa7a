-- Question: How much happens, day by day?
-- Read: Events by the day they happened, each once, machines included. A hole is a webhook that did not come; `outpulse status` says which provider is silent.
SELECT day, kind, sum(events)::BIGINT AS happened
FROM daily_activity
GROUP BY ALL
ORDER BY day, kind;
