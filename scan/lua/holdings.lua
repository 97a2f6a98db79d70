-- Reads a page of what is pending for a consumer.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 from this ID on ("(" before it: after it)  4 most entries
-- Returns  { id, idle ms, deliveries, fields or false when the body is gone } an entry; empty without stream or group
-- Atomic   no need; a script because its answer must come from the master.

refuse_replica('XACK', KEYS[1], ARGV[1], '0-0')
local page = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4], ARGV[2])
if page.err then
  if string.find(page.err, 'NOGROUP', 1, true) then
    return {}
  end
  return redis.error_reply(page.err)
end
local entries = {}
for i, p in ipairs(page) do
  local found = redis.call('XRANGE', KEYS[1], p[1], p[1])[1]
  entries[i] = { p[1], p[3], p[4], found and found[2] or false }
end
return entries
