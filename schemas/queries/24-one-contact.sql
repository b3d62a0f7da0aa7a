-- Question: What happened with one person, over all campaigns and channels?
-- Read: Oldest first. Late events stand where they belong; `received_at` says when we heard of them.
SELECT occurred_at, channel, kind, campaign_id, sequence_step, sender, reason
FROM events
WHERE contact_id = (SELECT min(contact_id) FROM events WHERE kind = 'complained')
ORDER BY occurred_at, kind;
