-- Question: Which channels bring meetings?
-- Read: All four columns share out the same meetings: `first_touch` asks who opened the door, `last_touch` who closed, `linear` and `time_decay` lie between. A channel high in the first and low in the last prepares what others harvest.
SELECT channel,
       sum(touches)::BIGINT AS touches,
       round(sum(first_touch), 2) AS first_touch,
       round(sum(last_touch), 2) AS last_touch,
       round(sum(linear), 2) AS linear,
       round(sum(time_decay), 2) AS time_decay
FROM meeting_attribution
GROUP BY channel
ORDER BY linear DESC, channel;
