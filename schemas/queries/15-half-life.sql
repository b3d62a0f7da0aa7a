-- Question: Does the answer depend on how fast touches are forgotten?
-- Read: With a half-life of 2 days nearly only the last touches count, with 30 days nearly all the same. If the order of rows stays, it does not matter which model you believe. `attribution(half_life_days := 2)` alone gives the first column.
WITH weighted AS (
    SELECT channel, campaign_id, outcome_event_id,
           pow(0.5, days_before / 2) AS short, pow(0.5, days_before / 30) AS long
    FROM credited_touches()
), shared AS (
    SELECT channel, campaign_id,
           short / sum(short) OVER (PARTITION BY outcome_event_id) AS short,
           long / sum(long) OVER (PARTITION BY outcome_event_id) AS long
    FROM weighted
)
SELECT channel, campaign_id, round(sum(short), 2) AS half_life_2_days, round(sum(long), 2) AS half_life_30_days
FROM shared
GROUP BY channel, campaign_id
ORDER BY half_life_2_days DESC, channel, campaign_id;
