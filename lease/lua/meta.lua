-- Writes what a service's members must agree on, if nobody has, and answers what stands there.
--
-- KEYS     1 {<service>-input}:meta
-- ARGV     1 format version  2 number of partitions
-- Returns  { format version, number of partitions }
-- Atomic   so that of two first members with different settings one wins and the other is told.
redis.call('HSETNX', KEYS[1], 'format', ARGV[1])
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[2])
return redis.call('HMGET', KEYS[1], 'format', 'partitions')
