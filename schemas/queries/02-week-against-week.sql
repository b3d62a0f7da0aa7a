-- Question: Did the last seven days go better than the seven before?
-- Read: `change` is the difference in percentage points. Messages of the last days can still be answered, so a small minus there is no bad sign yet; query 7 says how fast answers come.
WITH days AS (
    SELECT CASE WHEN metric_date > newest - 7 THEN 'last' ELSE 'before' END AS week, d.*
    FROM campaign_performance_metrics d, (SELECT max(metric_date) AS newest FROM campaign_performance_metrics)
    WHERE metric_date > newest - 14
), rates AS (
    SELECT campaign_id, week, sum(responses_received) / nullif(sum(messages_delivered), 0) AS rate
    FROM days GROUP BY ALL
)
SELECT campaign_id,
       round(any_value(rate) FILTER (week = 'last'), 4) AS last_week,
       round(any_value(rate) FILTER (week = 'before'), 4) AS week_before,
       round(100 * (last_week - week_before), 2) AS change
FROM rates
GROUP BY campaign_id
ORDER BY campaign_id;
