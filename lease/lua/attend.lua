-- Shows that a consumer is at work, though nothing is delivered to it: it looks neither idle nor inactive to those who
-- remove consumers that do.
--
-- KEYS     1 input stream
-- ARGV     1 consumer  2 group
-- Returns  number of entries pending for it
-- Atomic   so that an entry keeps its idle time and its count.
--
-- From Redis 7.2 on and on Valkey a read of any kind ends the idle time; before that one which finds nothing new does not,
-- one of the consumer's own history does. Inactive, which newer servers tell beside it, falls only when entries are
-- delivered or claimed: so one that is pending is claimed as it stands.

local input, me, group = KEYS[1], ARGV[1], ARGV[2]

-- What is pending for me after the end of all IDs.
redis.call('XREADGROUP', 'GROUP', group, me, 'STREAMS', input, '18446744073709551614-0')
local first = redis.call('XPENDING', input, group, '-', '+', '1', me)[1]
if not first then
  return 0
end
-- From Redis 7 on XCLAIM drops an entry whose body is gone; that one is left for those who can mend it.
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
