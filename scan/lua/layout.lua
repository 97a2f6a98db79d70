-- Reads what the members of a service have agreed on.
--
-- KEYS     1 {<service>-input}:meta
-- ARGV     none
-- Returns  { format version, number of partitions, state, from, to, operation }, each false if it is missing
-- Atomic   one command; a script because the answer must come from the master.
-- Parts    master
refuse_replica('HDEL', KEYS[1], '')
return redis.call('HMGET', KEYS[1], 'format', 'partitions', 'state', 'from', 'to', 'operation')
