-- Reads a page of dead letters.
--
-- KEYS     1 dead-letter stream
-- ARGV     1 from this ID on ("(" before it: after it)  2 up to this ID ("+": to the end)  3 most entries  4 weight after which
--          the page ends
-- Returns  { greatest ID there is now ('' in an empty stream), { id, fields } … }
-- Atomic   so that the end belongs to the page; a script because the answer must come from the master.
-- Parts    master streampage

refuse_replica('XDEL', KEYS[1], '0-0')
return stream_page(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
