-- Reads what is new for a consumer, without waiting, up to a number of entries and a weight.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 most entries  4 weight after which no more are read  5 longest announcement to answer
-- Returns  { 1 when there may be more, else 0; { id, fields … as body.lua answers them } an entry }
-- Atomic   no need; a script because XREADGROUP knows no bound but a number: what an entry weighs shows when it is
--          delivered.
-- Parts    body

-- So few are read at once that what nobody could foresee, a large entry behind small ones, has few others read with it.
-- A call costs as much as reading two or three entries, so more would gain little.
local MOST_AT_ONCE = 8

local input, group, me = KEYS[1], ARGV[1], ARGV[2]
local left, budget, longest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local answers, heaviest, chunk = { 1 }, 1, 1
while left > 0 and budget > 0 do
  chunk = math.max(1, math.min(chunk, left, MOST_AT_ONCE, math.floor(budget / heaviest)))
  local got = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', chunk, 'STREAMS', input, '>')
  if got and got.err then
    if #answers == 1 then
      return redis.error_reply(got.err)
    end
    -- What was read before must not be pending unseen. The next call meets the same.
    break
  end
  local entries = got and got[1][2] or {}
  for i = 1, #entries do
    local id, fields = entries[i][1], entries[i][2]
    local weight = weigh(fields)
    answers[#answers + 1] = answer({ id }, fields, weight, longest)
    heaviest = math.max(heaviest, weight)
    budget = budget - weight
  end
  if #entries < chunk then
    answers[1] = 0
    break
  end
  left, chunk = left - chunk, 2 * chunk
end
return answers
