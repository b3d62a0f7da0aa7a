-- Question: Where do we lose people on the way to an opportunity?
-- Read: Each stage holds those who reached it or a later one, so the share of the stage before is at most 1. The smallest share is where to work.
SELECT campaign_id,
       sum(awareness)::BIGINT AS aware,
       sum(interest)::BIGINT AS interested,
       sum(engagement)::BIGINT AS engaged,
       sum(meeting)::BIGINT AS met,
       sum(opportunity)::BIGINT AS opportunities,
       round(interested / nullif(aware, 0), 4) AS interested_share,
       round(engaged / nullif(interested, 0), 4) AS engaged_share,
       round(met / nullif(engaged, 0), 4) AS meeting_share
FROM funnel
GROUP BY campaign_id
ORDER BY aware DESC, campaign_id;
