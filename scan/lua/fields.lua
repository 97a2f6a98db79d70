-- Reads a page of the checkpoints, or of the schedules, of a partition.
--
-- KEYS     1 checkpoints, or schedules
-- ARGV     1 cursor ('0': from the start)  2 about how many
-- Returns  { the next cursor ('0': that was the last page), { field, value, … } }
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    master

if redis.call('PTTL', KEYS[1]) == -2 then
  return { '0', {} } -- in a service that has none no right is missed
end
refuse_replica('HDEL', KEYS[1], '-')
return redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
