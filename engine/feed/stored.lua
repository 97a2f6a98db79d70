-- Reads checkpoints of a partition. A script, since it has to be answered by the master.
--
-- KEYS[1]  {S}:checkpoints
-- ARGV     the fields
-- Returns  their values, false for those that are not there.
return redis.call('HMGET', KEYS[1], unpack(ARGV))
