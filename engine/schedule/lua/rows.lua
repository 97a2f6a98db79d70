-- Reads a page of the schedules of a partition.
--
-- KEYS     1 schedules
-- ARGV     1 cursor ('0': from the start)  2 about how many
-- Returns  { how many there are, the next cursor ('0': that was the last page), { name, row, … } }
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    master

-- Deletes nothing, since no name is empty.
refuse_replica('HDEL', KEYS[1], '')
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
return { redis.call('HLEN', KEYS[1]), page[1], page[2] }
