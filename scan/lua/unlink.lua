-- Deletes keys of a partition that nobody works with.
--
-- KEYS     1 sessions  2 mark  3 input stream  4 later  5 dead-letter stream  6 schedules  7… keys to delete
-- ARGV     1 '1': do nothing unless keys 3 to 6 are empty or missing  2 operation
-- Returns  number deleted; -1: somebody is alive, -2: they are not empty, -3: the partition is not marked as this
--          operation's; nothing was done
-- Atomic   so that neither a session nor an announcement nor a schedule nor another operation appears between the check and the deletion.
-- Parts    living

local refusal = may_not_change(KEYS[1], KEYS[2], ARGV[2])
if refusal then
  return refusal
end
if ARGV[1] == '1' and redis.call('XLEN', KEYS[3]) + redis.call('ZCARD', KEYS[4]) + redis.call('XLEN', KEYS[5]) +
  redis.call('HLEN', KEYS[6]) > 0 then
  return -2
end
local deleted = 0
for i = 7, #KEYS do
  deleted = deleted + redis.call('UNLINK', KEYS[i])
end
return deleted
