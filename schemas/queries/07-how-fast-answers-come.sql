-- Question: How many days until we have most of the answers?
-- Read: `response_rate` of a day is the share of the week's messages answered within that many days; where the curve is flat, waiting longer changes nothing.
SELECT day,
       sum(responses)::BIGINT AS responses,
       round(sum(responses) / sum(delivered), 5) AS response_rate,
       round(sum(responses) / nullif(max(sum(responses)) OVER (), 0), 3) AS share_of_all
FROM response_curve(days := 10)
WHERE channel = 'email'
GROUP BY day
ORDER BY day;
