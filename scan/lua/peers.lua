-- Lists the sessions that are over, and adopts consumers that have none.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 asking consumer  2 group  3 settle mode  4 gap threshold, ms  5 session TTL of those adopted, ms, if none greater is on record
--          6 '1': look at the group's consumers too, and adopt those without a session
-- Returns  { 'ok', { consumer, … } } or { 'wait' }: nobody may be found dead now
-- Atomic   so that a consumer which opens at this moment is not adopted under an older deadline.
-- Parts    clock record judge info
--
-- A session that is absent is unknown, not dead: it gets a deadline of its own.

local input, sessions = KEYS[1], KEYS[2]
local me, group, ttl = ARGV[1], ARGV[2], tonumber(ARGV[5])

local waiting = must_wait(sessions, me, ARGV[3], ARGV[4])
if waiting then
  return waiting
end
if ARGV[6] == '1' then
  -- It may be somebody with a longer session, whom a server has forgotten.
  ttl = math.max(ttl, greatest_ttl(sessions))
  local consumers = redis.call('XINFO', 'CONSUMERS', input, group)
  for _, c in ipairs(consumers) do
    adopt(sessions, named(c).name, ttl)
  end
end
return { 'ok', redis.call('ZRANGEBYSCORE', sessions, 0, now) }
