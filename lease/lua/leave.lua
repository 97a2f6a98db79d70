-- Takes a consumer whose session is over out of the fleet: its weight counts no more.
--
-- KEYS     1 sessions  2 books  3 load  4 fleet
-- ARGV     1 consumer
-- Returns  1 if it was there; 0 if not, or if its session is not over
-- Atomic   so that nobody is taken out who is alive, nor counted twice.
-- Parts    deadline fleet
--
-- Whoever dies before this call leaves a row, which the scan removes: sums of the fleet decide only who reads.

local sessions, me = KEYS[1], ARGV[1]
local keys = { books = KEYS[2], load = KEYS[3], fleet = KEYS[4] }

if is_alive(sessions, me) then
  return 0
end
local row = redis.call('HGET', keys.fleet, me)
if not row then
  return 0
end
replace_row(keys, me, row, false)
return 1
