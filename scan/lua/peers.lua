-- Lists the sessions that are over, and adopts consumers that have none.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 calling consumer  2 group  3 settle mode  4 gap threshold, ms  5 session TTL of adopted consumers, ms, unless a greater
--          one is on record  6 '1': look at the group's consumers too, and adopt those without a session
-- Returns  { 'ok', { consumer, … } } or { 'wait' }: nobody may be found dead now
-- Atomic   so that a consumer that opens a session at this moment is not adopted under an older deadline.
-- Parts    clock record judge info
--
-- A consumer without a session is unknown, not dead: it gets a deadline first.

local input, sessions = KEYS[1], KEYS[2]
local me, group, ttl = ARGV[1], ARGV[2], tonumber(ARGV[5])

local waiting = must_wait(sessions, me, ARGV[3], ARGV[4])
if waiting then
  return waiting
end
if ARGV[6] == '1' then
  -- It may be a consumer with a longer session that a server has forgotten.
  ttl = math.max(ttl, greatest_ttl(sessions))
  local consumers = redis.call('XINFO', 'CONSUMERS', input, group)
  for _, c in ipairs(consumers) do
    adopt(sessions, named(c).name, ttl)
  end
end
return { 'ok', redis.call('ZRANGEBYSCORE', sessions, 0, now) }
