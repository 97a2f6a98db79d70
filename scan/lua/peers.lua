-- Lists the sessions that are over, and adopts consumers that have none.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 asking consumer  2 group  3 settle mode  4 gap threshold, ms  5 session TTL of those adopted, ms, if none greater is on record
--          6 '1': look at the group's consumers too, and adopt those without a session
-- Returns  { 'ok', { consumer, … } } or { 'wait' }: nobody may be found dead now
-- Atomic   so that a consumer which opens at this moment is not adopted under an older deadline.
-- Parts    clock record session judge
--
-- A session that is absent is unknown, not dead: it gets a deadline of its own. A deadline with a fraction marks an
-- adopted one, for which no crash is counted; a beat overwrites it with a whole number.

local ADOPTED = 0.5

local input, sessions = KEYS[1], KEYS[2]
local me, group, ttl = ARGV[1], ARGV[2], tonumber(ARGV[5])

-- First, because maxmemory does not refuse it, and lets adoption pass.
redis.call('PEXPIRE', sessions, SESSIONS_KEPT)

local may, err = may_judge(sessions, me, ARGV[3], tonumber(ARGV[4]))
if err then
  return err
end
if not may then
  return { 'wait' }
end
if ARGV[6] == '1' then
  -- It may be somebody with a longer session, whom a server has forgotten.
  ttl = math.max(ttl, greatest_ttl(sessions))
  local consumers = redis.call('XINFO', 'CONSUMERS', input, group)
  for _, c in ipairs(consumers) do
    for i = 1, #c, 2 do
      if c[i] == 'name' then
        redis.call('ZADD', sessions, 'NX', now + ttl + ADOPTED, c[i + 1])
      end
    end
  end
end
return { 'ok', redis.call('ZRANGEBYSCORE', sessions, 0, now) }
