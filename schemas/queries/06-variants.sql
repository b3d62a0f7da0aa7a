-- Question: Which variant of a campaign is opened and answered more?
-- Read: Only when the intervals of two variants do not overlap is the difference hardly chance; `campaign_experiments` decides by a stricter rule, since looking often finds something.
SELECT campaign_id, variant,
       sum(messages_delivered)::BIGINT AS delivered,
       sum(messages_opened)::BIGINT AS opened,
       round(opened / nullif(delivered, 0), 4) AS open_rate,
       round(wilson_low(sum(messages_opened), sum(messages_delivered)), 4) AS at_least,
       round(wilson_high(sum(messages_opened), sum(messages_delivered)), 4) AS at_most
FROM cohorts
WHERE channel = 'email'
GROUP BY campaign_id, variant
ORDER BY campaign_id, variant;
