-- Takes the turn to scan a partition in this interval.
--
-- KEYS     1 {S}:scan
-- ARGV     1 asking consumer  2 how long the turn lasts, ms
-- Returns  1 if the turn is mine, else 0
-- Atomic   one command; a script because its answer must come from the master.
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
