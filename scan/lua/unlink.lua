-- Deletes keys of a partition with which nobody works.
--
-- KEYS     1 sessions  2 input stream  3 later  4 dead-letter stream  5… keys to delete
-- ARGV     1 '1': nothing is done unless keys 2 to 4 are empty or not there
-- Returns  number deleted; -1: somebody is alive, -2: there is something in them; nothing was done
-- Atomic   so that neither a session nor an announcement comes in between the look and the deletion.
-- Parts    clock living

if count_living(KEYS[1]) > 0 then
  return -1
end
if ARGV[1] == '1' and redis.call('XLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3]) + redis.call('XLEN', KEYS[4]) > 0 then
  return -2
end
local deleted = 0
for i = 5, #KEYS do
  deleted = deleted + redis.call('UNLINK', KEYS[i])
end
return deleted
