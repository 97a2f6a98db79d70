-- Says who owns a stream.
--
-- KEYS     1 lease key  2 sessions  3 input stream
-- ARGV     1 group
-- Returns  { now, value of the lease or false, its remaining TTL in ms (-2: no lease, -1: no TTL), deadline of the
--          holder's session or false, { consumer, idle ms, deliveries, fields or false } of the entry it names, or
--          false when that is not pending, session TTL of the holder in ms }
-- Atomic   so that lease, session and entry are of one moment; a script because its answer must come from the master.
-- Parts    clock record value

local key, sessions, input = KEYS[1], KEYS[2], KEYS[3]
refuse_replica('XACK', input, ARGV[1], '0-0')
local value = redis.call('GET', key)
local answer = { now, value, redis.call('PTTL', key), false, false, 0 }
local holder = value and parse(value)
if holder then
  answer[4] = redis.call('ZSCORE', sessions, holder.consumer)
  answer[6] = usual_ttls(sessions)[holder.consumer] or greatest_ttl(sessions)
  local page = redis.pcall('XPENDING', input, ARGV[1], holder.entry, holder.entry, '1')
  if not page.err and page[1] then
    local found = redis.call('XRANGE', input, holder.entry, holder.entry)[1]
    answer[5] = { page[1][2], page[1][3], page[1][4], found and found[2] or false }
  end
end
return answer
