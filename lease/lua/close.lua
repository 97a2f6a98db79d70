-- Ends a session on purpose, and removes the consumer if it left nothing pending.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 consumer  2 group
-- Returns  number of entries still pending for it; 0: removed
-- Atomic   so that no pending entry is lost with its consumer.
-- Parts    deadline record

keep_sessions(KEYS[2]) -- maxmemory refuses ZADD as the first write

redis.call('ZADD', KEYS[2], 'XX', 0, ARGV[1])
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[2], '-', '+', 1, ARGV[1])
if pending.err then
  -- No stream or no group: nothing can be pending.
  remove_session(KEYS[2], ARGV[1])
  return 0
end
if #pending > 0 then
  return #pending
end
remove_consumer(KEYS[1], ARGV[2], KEYS[2], ARGV[1])
return 0
