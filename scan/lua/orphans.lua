-- Claims the recovery of a dead consumer, and reads a page of what it left pending.
--
-- KEYS     1 input stream  2 sessions  3 {S}:recover:<dead consumer>
-- ARGV     1 asking consumer  2 group  3 settle mode  4 dead consumer  5 how long the claim lasts, ms
--          6 from this ID on ("(" before it: after it)  7 most entries
-- Returns  { status, deadline, now, { id, idle ms, deliveries, fields or false } … }. status: ok; alive: its session is
--          not past, or is gone altogether; busy: somebody else recovers it; wait: settling, or I have no session.
--          deadline is that of its session: 0 closed, with a fraction adopted
-- Atomic   so that one consumer at a time recovers a dead one.
-- Parts    clock session

local input, sessions, claim = KEYS[1], KEYS[2], KEYS[3]
local me, group, mode, dead = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

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
local deadline = redis.call('ZSCORE', sessions, dead)
if not deadline or tonumber(deadline) > now then
  return { 'alive' }
end
local holder = redis.call('GET', claim)
if holder and holder ~= me then
  return { 'busy' }
end
redis.call('SET', claim, me, 'PX', ARGV[5])
local page = redis.call('XPENDING', input, group, ARGV[6], '+', ARGV[7], dead)
local answer = { 'ok', deadline, string.format('%.0f', now) }
for _, p in ipairs(page) do
  local found = redis.call('XRANGE', input, p[1], p[1])[1]
  answer[#answer + 1] = { p[1], p[3], p[4], found and found[2] or false }
end
return answer
