-- Question: Which segments are better than the average beyond doubt?
-- Read: Those whose lower end lies above the rate of all. Send more there. With many segments one in forty gets here by chance.
WITH overall AS (
    SELECT channel, sum(responses_received) / nullif(sum(messages_delivered), 0) AS average FROM segments() GROUP BY channel
)
SELECT s.channel, persona, account_tier, messages_delivered,
       round(response_rate, 4) AS response_rate, round(average, 4) AS average
FROM segments() s JOIN overall o ON s.channel IS NOT DISTINCT FROM o.channel
WHERE response_low > average
ORDER BY response_rate / average DESC, persona, account_tier;
