-- Deletes entries, checkpoints, or schedules that were copied to another partition, while nobody works with this one.
--
-- KEYS     1 where it was: a stream, later, checkpoints, or schedules  2 sessions  3 mark  4… leases of the copied streams that may exist
-- ARGV     1 'stream', 'later' or 'hash'  2 group, '' if there is none  3 operation  4… IDs, members, or fields
-- Returns  number deleted; -1: somebody is alive, -3: the partition is not marked as this operation's; nothing was done
-- Atomic   so that nobody gets an entry, and no operation takes over, between the check and the deletion.
-- Parts    living

local refusal = may_not_change(KEYS[2], KEYS[3], ARGV[3])
if refusal then
  return refusal
end
local deleted = 0
for i = 4, #ARGV do
  if ARGV[1] == 'later' then
    deleted = deleted + redis.call('ZREM', KEYS[1], ARGV[i])
  elseif ARGV[1] == 'hash' then
    deleted = deleted + redis.call('HDEL', KEYS[1], ARGV[i])
  else
    if ARGV[2] ~= '' then
      redis.pcall('XACK', KEYS[1], ARGV[2], ARGV[i]) -- there may be no group
    end
    deleted = deleted + redis.call('XDEL', KEYS[1], ARGV[i])
  end
end
for i = 4, #KEYS do
  redis.call('DEL', KEYS[i])
end
return deleted
