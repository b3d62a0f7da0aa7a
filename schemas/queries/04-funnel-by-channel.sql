-- Question: Which channel brings people furthest?
-- Read: Channels differ in what can be seen: nobody opens a call. Compare the later stages, from engagement on.
SELECT channel,
       sum(touched)::BIGINT AS touches,
       sum(engagement)::BIGINT AS engaged,
       sum(meeting)::BIGINT AS met,
       sum(opportunity)::BIGINT AS opportunities,
       round(engaged / touches, 4) AS engaged_share
FROM funnel
GROUP BY channel
ORDER BY engaged_share DESC, channel;
