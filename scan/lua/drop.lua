-- Deletes dead letters for good.
--
-- KEYS     1 dead-letter stream
-- ARGV     IDs of dead letters
-- Returns  number of those that were there
-- Atomic   one command; a script because only a master may do it.
return redis.call('XDEL', KEYS[1], unpack(ARGV))
