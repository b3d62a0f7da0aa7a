-- Question: Which personas and tiers answer best?
-- Read: `lift` above 1 is better than the average of the channel. With few messages the interval is wide: believe a segment by `response_low`, not by its rate.
SELECT persona, account_tier, messages_delivered, responses_received,
       round(response_rate, 4) AS response_rate,
       round(response_low, 4) AS response_low,
       round(response_high, 4) AS response_high,
       round(lift, 2) AS lift
FROM segments()
WHERE channel = 'email'
ORDER BY response_low DESC NULLS LAST, persona, account_tier;
