-- Reads one page of the IDs of what is pending for a consumer, without bodies.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 from this ID on ("(" before it: after it; "-": from the first)  4 most IDs
-- Returns  { length of the stream, entries pending for anybody, ID of the first entry in the stream or '', ID, … }; the first
--          three are 0, 0 and '' except on the page from the first ID on
-- Atomic   so that the length and the number pending are of one moment; a script because the answer must come from the master.

local input, group, me, from = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

-- Acknowledges nothing; a demoted server refuses it instead of answering from outdated data.
redis.call('XACK', input, group, '0-0')
local page = redis.call('XPENDING', input, group, from, '+', ARGV[4], me)
local answer = { 0, 0, '' }
if from == '-' then
  local first = redis.call('XRANGE', input, '-', '+', 'COUNT', '1')[1]
  answer = { redis.call('XLEN', input), redis.call('XPENDING', input, group)[1], first and first[1] or '' }
end
for i = 1, #page do
  answer[3 + i] = page[i][1]
end
return answer
