-- Deletes schedules of a partition. Their owners hear of it, and end.
--
-- KEYS     1 schedules  2 signals
-- ARGV     names
-- Returns  how many there were
-- Atomic   so that no schedule is deleted without its owner hearing of it.
-- Parts    reply
-- Shared   tell
--
-- Announcements stay: whoever acquires one finds no row, and says Done. A repetition finds nothing to delete.

local schedules, signals = KEYS[1], KEYS[2]

-- Deletes nothing, since no name is empty. After a write that maxmemory does not refuse, the signals pass as well.
on_key('HDEL', schedules, '')
local there = {}
for _, name in ipairs(ARGV) do
  if on_key('HGET', schedules, name) then
    there[#there + 1] = name
  end
end
local untold = tell(signals, there)
if untold then
  return redis.error_reply(untold)
end
local n = 0
for _, name in ipairs(there) do
  n = n + on_key('HDEL', schedules, name)
end
return n
