-- Removes a dead consumer that has left nothing pending, and releases the claim on its recovery.
--
-- KEYS     1 input stream  2 sessions  3 {S}:recover:<dead consumer>  4 checkpoints
-- ARGV     1 dead consumer  2 group  3 calling consumer
-- Returns  number of entries still pending for it (0: removed), -1: its session is not past, or there is none
-- Atomic   so that no pending entries are lost with their consumer.
-- Parts    deadline record checkpoint

keep_sessions(KEYS[2]) -- before Redis 7.0, maxmemory refuses XGROUP DELCONSUMER as the first write

if not past_deadline(KEYS[2], ARGV[1]) then
  return -1
end
local pending = redis.call('XPENDING', KEYS[1], ARGV[2], '-', '+', 1, ARGV[1])
if #pending == 0 then
  remove_consumer(KEYS[1], ARGV[2], KEYS[2], ARGV[1])
  forget_number(KEYS[4], ARGV[1])
end
if redis.call('GET', KEYS[3]) == ARGV[3] then
  redis.call('DEL', KEYS[3])
end
return #pending
