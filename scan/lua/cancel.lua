-- Deletes delayed entries.
--
-- KEYS     1 later
-- ARGV     1… members of it
-- Returns  number deleted: the others were handed out or cancelled meanwhile
-- Atomic   so that each is either deleted or handed out.

return redis.call('ZREM', KEYS[1], unpack(ARGV))
