-- Searches for keys, one step at a time.
--
-- KEYS     none: it is sent to each master
-- ARGV     1 cursor  2 pattern  3 how many keys to look at
-- Returns  { next cursor, { key, … } }
-- Atomic   one command; a script so that a client that reads from replicas does not send it to one.
return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
