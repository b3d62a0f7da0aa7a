-- Question: Which sending mailbox is in trouble?
-- Read: A bad list hurts one campaign, a burnt mailbox all of them: look for senders whose bounces or complaints stand out.
SELECT sender,
       sum(messages_sent)::BIGINT AS sent,
       sum(bounced)::BIGINT AS bounces,
       sum(complained)::BIGINT AS complaints,
       round(bounces / nullif(sent, 0), 4) AS bounce_rate,
       round(complaints / nullif(sum(messages_delivered), 0), 5) AS complaint_rate
FROM cohorts
WHERE channel = 'email'
GROUP BY sender
ORDER BY bounce_rate DESC, sender;
