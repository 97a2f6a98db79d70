-- Ends an operation on a service: it may be used again, or is gone.
--
-- KEYS     1 {<service>-input}:meta  2… keys that must not be there any more
-- ARGV     1 operation  2 format version  3 number of partitions; '': the record goes
-- Returns  'ok'; or nothing was done and 'other': somebody else goes on with it; 'again': one of the keys is there
-- Atomic   so that nothing comes in between the look and the end, and no operation ends another one.

local meta = KEYS[1]
if redis.call('HMGET', meta, 'operation')[1] ~= ARGV[1] then
  return 'other'
end
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    return 'again'
  end
end
if ARGV[3] == '' then
  redis.call('DEL', meta)
else
  redis.call('HDEL', meta, 'state', 'operation', 'from', 'to') -- first: a full server does not refuse it, nor then the rest
  redis.call('HSET', meta, 'format', ARGV[2], 'partitions', ARGV[3])
end
return 'ok'
