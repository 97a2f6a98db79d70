-- One page of what is pending for a consumer, with the bodies.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 from this ID on ("(" before it: after it)  4 most entries  5 at least this idle, ms
--          6 weight after which the page ends  7 longest announcement to answer
-- Returns  { id, idle ms, deliveries, false when the body is gone, else fields … as body.lua answers them } an entry
-- Atomic   no need; a script because its answer must come from the master whatever the client does with reads.
-- Parts    body

-- Acknowledges nothing; a demoted server refuses it instead of answering from what it knew.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
local page = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[5], ARGV[3], '+', ARGV[4], ARGV[2])
return answer_pending({}, KEYS[1], page, ARGV[6], ARGV[7])
