-- Lists the consumers of the group with the number of entries pending for them, and their sessions.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 group
-- Returns  { now, { consumer, entries pending, deadline of its session or false, its session TTL in ms } … }; sessions without
--          a consumer too
-- Atomic   so that consumers and sessions are of one moment; a script because the answer must come from the master.
-- Parts    master clock record info

refuse_replica('XACK', KEYS[1], ARGV[1], '0-0')
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then
  if not is_missing(consumers.err) then
    return redis.error_reply(consumers.err)
  end
  consumers = {}
end
local answer, seen = { now }, {}
local ttls, greatest = usual_ttls(KEYS[2]), greatest_ttl(KEYS[2])
for _, flat in ipairs(consumers) do
  local c = named(flat)
  seen[c.name] = true
  answer[#answer + 1] = { c.name, c.pending, redis.call('ZSCORE', KEYS[2], c.name), ttls[c.name] or greatest }
end
local flat = redis.call('ZRANGEBYSCORE', KEYS[2], 0, '+inf', 'WITHSCORES')
for i = 1, #flat, 2 do
  if not seen[flat[i]] then
    answer[#answer + 1] = { flat[i], 0, flat[i + 1], ttls[flat[i]] or greatest }
  end
end
return answer
