-- Claims the recovery of a dead consumer, and reads a page of what it left pending.
--
-- KEYS     1 input stream  2 sessions  3 {S}:recover:<dead consumer>
-- ARGV     1 calling consumer  2 group  3 settle mode  4 gap threshold, ms  5 dead consumer  6 how long the claim lasts, ms
--          7 from this ID on ("(" before it: after it)  8 most entries  9 weight after which the page ends  10 longest
--          announcement to return
-- Returns  { status, deadline, now, its session TTL in ms, how long ago it last showed that it was at work in ms (-1: not
--          known), { id, idle ms, deliveries, fields … as body.lua returns them, or false } … }. status: ok; alive: its
--          session is not past, or there is none; busy: somebody else recovers it; wait: nobody may be found dead now.
--          deadline is that of its session: 0 closed, with a fraction adopted or proven
-- Atomic   so that only one consumer at a time recovers a dead one.
-- Parts    clock record deadline judge body info

local input, sessions, claim = KEYS[1], KEYS[2], KEYS[3]
local me, group, dead = ARGV[1], ARGV[2], ARGV[5]

local waiting = must_wait(sessions, me, ARGV[3], ARGV[4])
if waiting then
  return waiting
end
local deadline = past_deadline(sessions, dead)
if not deadline then
  return { 'alive' }
end
local holder = redis.call('GET', claim)
if holder and holder ~= me then
  local left = redis.call('PTTL', claim)
  if left < 0 or left > tonumber(ARGV[6]) then
    -- Claimed before the server's clock was set back.
    redis.call('PEXPIRE', claim, ARGV[6])
  end
  return { 'busy' }
end
redis.call('SET', claim, me, 'PX', ARGV[6])
local page = redis.call('XPENDING', input, group, ARGV[7], '+', ARGV[8], dead)

-- How long ago the dead consumer last showed that it was at work: see attend.lua. A consumer of an earlier version, whose TTL is
-- not on record, does not show it.
local function last_seen()
  for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', input, group)) do
    local c = named(flat)
    if c.name == dead then
      return c.idle
    end
  end
  return -1
end

local ttl = usual_ttls(sessions)[dead]
local rows = { 'ok', deadline, string.format('%.0f', now), ttl or greatest_ttl(sessions), ttl and last_seen() or -1 }
return answer_pending(rows, input, page, ARGV[9], ARGV[10])
