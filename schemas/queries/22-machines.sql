-- Question: How many opens are by machines, and what remains without suspects?
-- Read: `human` leaves out what is known to be a machine, `strict` what looks like one too. If they lie far apart, judge by clicks and answers.
SELECT campaign_id,
       sum((conversion_funnel_data ->> 'machine_opened')::BIGINT)::BIGINT AS machine,
       sum(messages_opened)::BIGINT AS human,
       sum(messages_opened_strict)::BIGINT AS strict,
       round(human / nullif(sum(messages_delivered), 0), 4) AS open_rate,
       round(strict / nullif(sum(messages_delivered), 0), 4) AS open_rate_strict
FROM campaign_performance_metrics
WHERE channel = 'email'
GROUP BY campaign_id
ORDER BY campaign_id;
