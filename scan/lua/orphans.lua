-- Claims the recovery of a dead consumer, and reads a page of what it left pending.
--
-- KEYS     1 input stream  2 sessions  3 {S}:recover:<dead consumer>
-- ARGV     1 asking consumer  2 group  3 settle mode  4 gap threshold, ms  5 dead consumer  6 how long the claim lasts, ms
--          7 from this ID on ("(" before it: after it)  8 most entries  9 weight after which the page ends  10 longest
--          announcement to answer
-- Returns  { status, deadline, now, its session TTL in ms, { id, idle ms, deliveries, fields … as body.lua answers them, or
--          false } … }. status: ok; alive: its session is
--          not past, or is gone altogether; busy: somebody else recovers it; wait: nobody may be found dead now.
--          deadline is that of its session: 0 closed, with a fraction adopted
-- Atomic   so that one consumer at a time recovers a dead one.
-- Parts    clock record session peer body

local input, sessions, claim = KEYS[1], KEYS[2], KEYS[3]
local me, group, dead = ARGV[1], ARGV[2], ARGV[5]

-- First, because maxmemory does not refuse it, and lets the claim pass.
redis.call('PEXPIRE', sessions, SESSIONS_KEPT)

local may, err = may_judge(sessions, me, ARGV[3], tonumber(ARGV[4]))
if err then
  return err
end
if not may then
  return { 'wait' }
end
local deadline = redis.call('ZSCORE', sessions, dead)
if not deadline or tonumber(deadline) > now then
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
local rows = { 'ok', deadline, string.format('%.0f', now), usual_ttls(sessions)[dead] or greatest_ttl(sessions) }
return answer_page(rows, input, page, function(p)
  return { p[1], p[3], p[4] }
end, tonumber(ARGV[9]), tonumber(ARGV[10]))
