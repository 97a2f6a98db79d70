-- Reads the checkpoint of a data stream.
--
-- KEYS     1 checkpoints
-- ARGV     1 its field
-- Returns  { what is stored or false }
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    master

if redis.call('PTTL', KEYS[1]) == -2 then
  return { false } -- in a service that has none no right is missed
end
refuse_replica('HDEL', KEYS[1], '-')
return redis.call('HMGET', KEYS[1], ARGV[1])
