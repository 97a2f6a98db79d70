-- Reads one page of what is pending for a consumer, with bodies.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 from this ID on ("(" before it: after it)  4 most entries  5 at least this idle, ms
--          6 weight after which the page ends  7 longest announcement to return
-- Returns  { id, idle ms, deliveries, false if the body is gone, else fields … as body.lua returns them } an entry
-- Atomic   no need; a script because the answer must come from the master wherever the client sends reads.
-- Parts    body

-- Acknowledges nothing; a demoted server refuses it instead of answering from outdated data.
redis.call('XACK', KEYS[1], ARGV[1], '0-0')
local page = redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[5], ARGV[3], '+', ARGV[4], ARGV[2])
return answer_pending({}, KEYS[1], page, ARGV[6], ARGV[7])
