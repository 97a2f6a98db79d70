-- Reads who owns a stream.
--
-- KEYS     1 lease key  2 sessions  3 input stream
-- ARGV     1 group
-- Returns  { now, value of the lease or false, its remaining TTL in ms (-2: no lease, -1: no TTL), deadline of the
--          holder's session or false, { consumer, idle ms, deliveries, fields … as body.lua returns them, or
--          false } of the entry it names, or false if that is not pending, session TTL of the holder in ms }
-- Atomic   so that lease, session and entry are of one moment; a script because the answer must come from the master.
-- Parts    master clock record value body

local key, sessions, input = KEYS[1], KEYS[2], KEYS[3]
refuse_replica('XACK', input, ARGV[1], '0-0')
local value = redis.call('GET', key)
local told = { now, value, redis.call('PTTL', key), false, false, 0 }
local holder = value and parse(value)
if holder then
  told[4] = redis.call('ZSCORE', sessions, holder.consumer)
  told[6] = usual_ttls(sessions)[holder.consumer] or greatest_ttl(sessions)
  local page = redis.pcall('XPENDING', input, ARGV[1], holder.entry, holder.entry, '1')
  if not page.err and page[1] then
    told[5] = answer_page({}, input, page, function(p)
      return { p[2], p[3], p[4] }
    end, 1, 0)[1]
  end
end
return told
