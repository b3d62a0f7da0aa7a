-- Question: Which campaigns bounce too much?
-- Read: Providers act from 5 %, and hard bounces above 2 % point to a bad list. `at_least` says what the rate is at the lowest, given how few messages there are.
SELECT campaign_id,
       sum(messages_sent)::BIGINT AS sent,
       sum(bounced_hard)::BIGINT AS hard,
       round(hard / nullif(sent, 0), 4) AS hard_rate,
       round(wilson_low(sum(bounced_hard), sum(messages_sent)), 4) AS at_least
FROM campaign_performance_metrics
WHERE channel = 'email'
GROUP BY campaign_id
ORDER BY hard_rate DESC, campaign_id;
