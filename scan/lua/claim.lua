-- Marks a partition as belonging to an operation, or removes the mark.
--
-- KEYS     1 mark
-- ARGV     1 operation  2 how long, ms; '0': it is removed, if it is this operation's
-- Returns  'OK'
-- Atomic   so that only the operation's own mark is removed.

if ARGV[2] == '0' then
  if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
  end
  return 'OK'
end
-- First, because maxmemory does not refuse it, and then lets the rest pass: a full server is a reason to delete something.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
