-- Question: Which mail domains refuse us in the last 24 hours?
-- Read: Events up to the newest one in the lake, by the recipients' domain. A block says that the domain does not want the sender; a hard bounce that the address is dead.
SELECT recipient_domain,
       coalesce(sum(events) FILTER (kind = 'bounced' AND bounce_class = 'hard'), 0)::BIGINT AS hard,
       coalesce(sum(events) FILTER (kind = 'bounced' AND bounce_class = 'block'), 0)::BIGINT AS blocked,
       coalesce(sum(events) FILTER (kind = 'deferred'), 0)::BIGINT AS deferred,
       coalesce(sum(events) FILTER (kind = 'delivered'), 0)::BIGINT AS delivered
FROM metrics_24h
WHERE channel = 'email'
GROUP BY recipient_domain
HAVING hard + blocked + deferred > 0
ORDER BY hard + blocked DESC, recipient_domain
LIMIT 20;
