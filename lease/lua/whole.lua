-- Reads all fields of one entry.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 its ID
-- Returns  its fields, or false if the body is gone
-- Atomic   no need; a script because the answer must come from the master.

-- Acknowledges nothing; a demoted server refuses it instead of answering from outdated data.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
return found and found[2] or false
