-- Question: Which step of a sequence gets the answers, and is the last one still worth it?
-- Read: A later step reaches only those who did not answer before, so its rate is lower by nature; it is worth it while it adds answers at few unsubscribes.
SELECT campaign_id, sequence_step, any_value(channel) AS channel,
       sum(messages_delivered)::BIGINT AS delivered,
       sum(responses_received)::BIGINT AS responses,
       round(responses / nullif(delivered, 0), 4) AS response_rate,
       sum(unsubscribed)::BIGINT AS unsubscribes
FROM cohorts
GROUP BY campaign_id, sequence_step
ORDER BY campaign_id, sequence_step;
