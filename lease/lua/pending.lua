-- One page of what is pending for a consumer, with the bodies.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 from this ID on ("(" before it: after it)  4 most entries  5 at least this idle, ms
-- Returns  { id, idle ms, deliveries, fields or false when the body is gone } an entry
-- Atomic   no need; a script because its answer must come from the master whatever the client does with reads.

-- Acknowledges nothing; a demoted server refuses it instead of answering from what it knew.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
local page = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[5], ARGV[3], '+', ARGV[4], ARGV[2])
local entries = {}
for i, p in ipairs(page) do
  local found = redis.call('XRANGE', KEYS[1], p[1], p[1])[1]
  entries[i] = { p[1], p[3], p[4], found and found[2] or false }
end
return entries
