-- Takes a consumer whose session is over out of the fleet: its weight counts no more. If its process has crashed, that is counted.
--
-- KEYS     1 sessions  2 books  3 load  4 fleet  5 {S}:crashed:<consumer ID>, omitted if it cannot be used
-- ARGV     1 consumer  2 how long crashes are remembered, ms
-- Returns  1 if it was there; 0 if not, or if its session is not over
-- Atomic   so that nobody is taken out who is alive, nor counted twice.
-- Parts    deadline fleet judge reply
--
-- Whoever dies before this call leaves a row, which the scan removes: sums of the fleet decide only who reads. That crash is not counted.
-- A second call finds no row, and counts nothing.
--
-- A crash is a session that ended without being closed, or the end of a process that was proven; not one that was adopted, since nobody
-- knows how it ended. A process that stalled for longer than its session lasts, or was cut off, looks the same to whoever recovers it, and
-- is counted, too: its streams have suffered the same. It goes on under a new name. Its next open answers the count, and what it has of
-- its weight goes by how long it has been up in all: one that has been up for long has all of it at once, and a young one gets it as
-- after a restart. One that recovers before others have noticed closes the old session, and is not counted.

local sessions, me, crashed = KEYS[1], ARGV[1], KEYS[5]
local keys = { books = KEYS[2], load = KEYS[3], fleet = KEYS[4] }

if is_alive(sessions, me) then
  return 0
end
local row = redis.call('HGET', keys.fleet, me)
if not row then
  return 0
end
local deadline = tonumber(past_deadline(sessions, me) or 0)
replace_row(keys, me, row, false)

-- More crashes than this make no difference.
local MOST = 99

-- One command stores the count and its expiry, so that it never stays. Where it is refused, nothing else must fail.
if crashed and deadline > 0 and deadline % 1 ~= ADOPTED then
  local known = redis.pcall('GET', crashed)
  if not refused(known) then
    local count = tonumber(string.match(known or '', '^%d%d?$') or 0)
    redis.pcall('SET', crashed, math.min(count + 1, MOST), 'PX', ARGV[2])
  end
end
return 1
