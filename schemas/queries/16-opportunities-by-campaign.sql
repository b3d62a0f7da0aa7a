-- Question: Which campaigns and steps bring opportunities?
-- Read: The sum of `linear` over all rows is the number of opportunities. A step with touches and no credit in any column has not led to one yet.
SELECT campaign_id, sequence_step, channel, outcomes,
       round(linear, 2) AS linear, round(last_touch, 2) AS last_touch
FROM opportunity_attribution
ORDER BY linear DESC, campaign_id, sequence_step;
