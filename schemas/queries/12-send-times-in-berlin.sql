-- Question: The same by the clock in Berlin: is the morning better than the afternoon?
-- Read: Weekdays and hours are of the zone given, summer time included. The zone is one for all messages, not the recipients' own.
SELECT CASE WHEN hour < 6 THEN 'night' WHEN hour < 12 THEN 'morning' WHEN hour < 18 THEN 'afternoon' ELSE 'evening' END AS part,
       sum(messages_sent)::BIGINT AS sent,
       sum(messages_delivered)::BIGINT AS delivered,
       sum(responses_received)::BIGINT AS responses,
       round(responses / nullif(delivered, 0), 4) AS response_rate
FROM send_times(zone := 'Europe/Berlin')
WHERE channel = 'email' AND weekday <= 5
GROUP BY part
ORDER BY response_rate DESC;
