-- Question: How do my email campaigns do, from sending to answer?
-- Read: Each message counts once, on the day it was sent. Counts are added up first and divided then; an average of daily rates would weigh a day of ten messages like one of ten thousand.
SELECT campaign_id,
       sum(messages_sent)::BIGINT AS sent,
       round(sum(messages_delivered) / nullif(sum(messages_sent), 0), 4) AS delivery_rate,
       round(sum(messages_opened) / nullif(sum(messages_delivered), 0), 4) AS open_rate,
       round(sum(responses_received) / nullif(sum(messages_delivered), 0), 4) AS response_rate
FROM campaign_performance_metrics
WHERE channel = 'email'
GROUP BY campaign_id
ORDER BY sent DESC, campaign_id;
