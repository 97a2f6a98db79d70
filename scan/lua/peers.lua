-- Lists the sessions that are over, and adopts consumers that have none.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 asking consumer  2 group  3 settle mode  4 session TTL of those adopted, ms
--          5 '1': look at the group's consumers too, and adopt those without a session
-- Returns  { 'ok', { consumer, … } } or { 'wait' }: the partition settles, or I have no session
-- Atomic   so that a consumer which opens at this moment is not adopted under an older deadline.
-- Parts    clock session
--
-- A session that is absent is unknown, not dead: it gets a deadline of its own. A deadline with a fraction marks an
-- adopted one, for which no crash is counted; a beat overwrites it with a whole number.

local ADOPTED = 0.5

local input, sessions = KEYS[1], KEYS[2]
local me, group, mode, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local mine = redis.call('ZSCORE', sessions, me)
if not mine or tonumber(mine) <= now then
  return { 'wait' }
end
local settling, err = is_settling(sessions, mode)
if err then
  return err
end
if settling then
  return { 'wait' }
end
if ARGV[5] == '1' then
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
