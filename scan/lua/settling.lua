-- Reads until when a partition settles, as its sessions have it on record.
--
-- KEYS     1 sessions
-- ARGV     none
-- Returns  { now, the end of the settling, ms, or '0': nobody has recorded a change of server }
-- Atomic   so that the end and the clock are of one moment; a script because the answer must come from the master.
-- Parts    master clock record
--
-- As session.lua: a server is on record since it was first seen, and settles for the greatest session TTL from then on. One that
-- nobody has seen yet is not, and then nobody is alive who could take anything.

local sessions = KEYS[1]
-- There are a handful, unless somebody has written them by hand.
local MOST = 1000

refuse_replica('ZREM', sessions, '-')
local since = 0
local flat = redis.call('ZRANGEBYSCORE', sessions, '(-inf', '(0', 'WITHSCORES', 'LIMIT', 0, MOST)
for i = 1, #flat, 2 do
  if string.sub(flat[i], 1, 5) == '!run:' then
    since = math.max(since, -tonumber(flat[i + 1]))
  end
end
return { now, string.format('%.0f', since > 0 and since + greatest_ttl(sessions) or 0) }
