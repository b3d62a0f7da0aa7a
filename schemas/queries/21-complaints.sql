-- Question: Are complaints near the limits of the mailbox providers?
-- Read: Gmail and Yahoo ask for less than 0.1 % and step in at 0.3 % (their sender guidelines). Unsubscribes warn earlier than complaints.
SELECT campaign_id,
       sum(messages_delivered)::BIGINT AS delivered,
       sum(complained)::BIGINT AS complaints,
       sum(unsubscribed)::BIGINT AS unsubscribes,
       round(complaints / nullif(delivered, 0), 5) AS complaint_rate,
       round(unsubscribes / nullif(delivered, 0), 4) AS unsubscribe_rate
FROM campaign_performance_metrics
WHERE channel = 'email'
GROUP BY campaign_id
ORDER BY complaint_rate DESC, campaign_id;
