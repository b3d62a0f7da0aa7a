-- Question: How many touches and days does a meeting take?
-- Read: One row a number of touches; `days` is the median from the first touch to the booking.
SELECT touches, count(*) AS meetings, round(median(days_before), 1) AS days
FROM credited_touches()
WHERE position = 1
GROUP BY touches
ORDER BY touches;
