-- Question: At which hours of the week should mail be sent?
-- Read: Hours are UTC here. `response_low` guards against hours with few messages; the best hour of 168 is always partly luck.
SELECT weekday, hour, messages_sent,
       round(open_rate, 4) AS open_rate,
       round(response_rate, 4) AS response_rate,
       round(response_low, 4) AS response_low,
       round(lift, 2) AS lift
FROM send_times()
WHERE channel = 'email' AND messages_sent >= 30
ORDER BY response_low DESC, weekday, hour
LIMIT 20;
