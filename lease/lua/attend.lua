-- Shows that a consumer is at work although nothing is delivered to it, so that it looks neither idle nor inactive to whoever
-- removes idle consumers.
--
-- KEYS     1 input stream
-- ARGV     1 consumer  2 group
-- Returns  number of entries pending for it
-- Atomic   so that an entry keeps its idle time and its delivery count.
--
-- From Redis 7.2 on, and on Valkey, every read ends the idle time; before that, a read of the consumer's own history does, but
-- not a read that finds nothing new. The inactive time, which newer servers report as well, falls only when entries are delivered
-- or claimed: so a pending entry is claimed unchanged.

local input, me, group = KEYS[1], ARGV[1], ARGV[2]

-- A read of my history after the end of all IDs.
redis.call('XREADGROUP', 'GROUP', group, me, 'STREAMS', input, '18446744073709551614-0')
local first = redis.call('XPENDING', input, group, '-', '+', '1', me)[1]
if not first then
  return 0
end
-- From Redis 7 on XCLAIM drops an entry whose body is gone; that entry is left to those who can repair it.
if #redis.call('XRANGE', input, first[1], first[1]) > 0 then
  redis.call('XCLAIM', input, group, me, '0', first[1], 'IDLE', string.format('%.0f', first[3]),
    'RETRYCOUNT', string.format('%.0f', first[4]), 'JUSTID')
end
for _, row in ipairs(redis.call('XPENDING', input, group)[4]) do
  if row[1] == me then
    return tonumber(row[2])
  end
end
return 0
