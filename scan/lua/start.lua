-- Ends an operation on a service: the service may be used again, or is gone.
--
-- KEYS     1 {<service>-input}:meta  2… keys that must no longer exist
-- ARGV     1 operation  2 format version  3 number of partitions; '': the record is deleted
-- Returns  'ok'; or, if nothing was done, 'other': another operation has taken over; 'again': one of the keys exists
-- Atomic   so that nothing happens between the check and the end, and no operation ends another one.

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
  redis.call('HDEL', meta, 'state', 'operation', 'from', 'to') -- first: a full server does not refuse it, and then lets the rest pass
  redis.call('HSET', meta, 'format', ARGV[2], 'partitions', ARGV[3])
end
return 'ok'
