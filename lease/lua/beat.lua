-- Extends a session when there is no renewal to carry the beat.
--
-- KEYS     1 sessions  2 later, left out while a slot migrates
-- ARGV     1 consumer  2 session TTL, ms  3 gap threshold, ms  4 settle mode
-- Returns  { status, sessions past their deadline, entries due (-1: not looked at), server id, settling }
-- Atomic   so that nobody is found dead between the look at the deadline and its extension.
-- Parts    clock session

local sessions, later = KEYS[1], KEYS[2]
local status, run, settling = touch(sessions, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4])
if not status then
  return run
end
local due = later and redis.call('ZCOUNT', later, '-inf', now) or -1
return { status, count_dead(sessions), due, run, settling and 1 or 0 }
