-- Reads a page of dead letters.
--
-- KEYS     1 dead-letter stream
-- ARGV     1 from this ID on ("(" before it: after it)  2 up to this ID ("+": to the end)  3 most entries
-- Returns  { greatest ID there is now ('' in an empty stream), { id, fields } … }
-- Atomic   so that the end belongs to the page; a script because its answer must come from the master.

local dead = KEYS[1]
refuse_replica('XDEL', dead, '0-0')
local last = redis.call('XREVRANGE', dead, '+', '-', 'COUNT', '1')[1]
local answer = redis.call('XRANGE', dead, ARGV[1], ARGV[2], 'COUNT', ARGV[3])
table.insert(answer, 1, last and last[1] or '')
return answer
