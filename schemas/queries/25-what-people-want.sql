-- Question: What do people want who answer, by campaign?
-- Read: `intent` is empty while replies are not classified yet; out_of_office is no answer of a person. Many objections in one campaign call for other words, many questions for a better page behind the link.
SELECT campaign_id, intent_classification AS intent, count(*) AS replies,
       round(count(*) / sum(count(*)) OVER (PARTITION BY campaign_id), 3) AS share
FROM response_intelligence
GROUP BY campaign_id, intent
ORDER BY campaign_id, replies DESC, intent;
