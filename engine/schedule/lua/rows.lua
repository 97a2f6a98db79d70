-- Reads a page of the schedules of a partition.
--
-- KEYS     1 schedules  2 sessions, omitted by who does not want to know how many processes there are
-- ARGV     1 cursor ('0': from the start)  2 about how many
-- Returns  { how many there are, live sessions, the next cursor ('0': that was the last page), { name, row, … } }
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    clock master

-- Deletes nothing, since no name is empty.
refuse_replica('HDEL', KEYS[1], '')
local live = KEYS[2] and redis.call('ZCOUNT', KEYS[2], now, '+inf') or 0
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
return { redis.call('HLEN', KEYS[1]), live, page[1], page[2] }
