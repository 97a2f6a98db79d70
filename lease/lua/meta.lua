-- Writes what a service's members must agree on, if nobody has, and answers what stands there.
--
-- KEYS     1 {<service>-input}:meta
-- ARGV     1 format version  2 number of partitions
-- Returns  { format version, number of partitions }
-- Atomic   so that of two first members with different settings one wins and the other is told.
local agreed
for _, call in ipairs({
  { 'HSETNX', KEYS[1], 'format', ARGV[1] },
  { 'HSETNX', KEYS[1], 'partitions', ARGV[2] },
  { 'HMGET', KEYS[1], 'format', 'partitions' },
}) do
  agreed = redis.pcall(unpack(call))
  if type(agreed) == 'table' and agreed.err then
    return redis.error_reply(agreed.err .. ' (trying ' .. call[1] .. ' on ' .. KEYS[1] .. ')')
  end
end
return agreed
