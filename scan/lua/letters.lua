-- Reads a page of dead letters.
--
-- KEYS     1 dead-letter stream
-- ARGV     1 from this ID on ("(" before it: after it)  2 up to this ID ("+": to the end)  3 most entries  4 once they weigh as
--          much, the page ends
-- Returns  { greatest ID there is now ('' in an empty stream), { id, fields } … }
-- Atomic   so that the end belongs to the page; a script because its answer must come from the master.
-- Parts    master clock value entry

local dead = KEYS[1]
refuse_replica('XDEL', dead, '0-0')
local last = redis.call('XREVRANGE', dead, '+', '-', 'COUNT', '1')[1]
local answer = { last and last[1] or '' }
local from, weight, budget = ARGV[1], 0, tonumber(ARGV[4])
for _ = 1, tonumber(ARGV[3]) do
  -- One at a time: of a page of them nobody knows what it weighs.
  local letter = weight < budget and redis.call('XRANGE', dead, from, ARGV[2], 'COUNT', '1')[1]
  if not letter then
    break
  end
  answer[#answer + 1] = letter
  weight = weight + weigh(letter[2])
  from = '(' .. letter[1]
end
return answer
