-- Reads new entries for a consumer, without waiting, up to a number of entries and a weight.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 most entries  4 weight after which no more are read  5 longest announcement to return
-- Returns  { 1 if there may be more, else 0; { id, fields … as body.lua returns them } an entry }
-- Atomic   no need; a script because XREADGROUP is bounded only by number: the weight of an entry shows when it is delivered.
-- Parts    body

-- So few are read at once that an unforeseen large entry behind small ones has few others read with it. A call costs the server
-- as much as reading a few entries, so larger reads would gain little. The numbers are strings, since converting one costs as
-- much again.
local COUNTS = { '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13', '14', '15', '16' }

local input, group, me = KEYS[1], ARGV[1], ARGV[2]
local left, budget, longest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local answers, n, heaviest, chunk = { 1 }, 1, 1, 1
while left > 0 and budget > 0 do
  chunk = math.max(1, math.min(chunk, left, #COUNTS, math.floor(budget / heaviest)))
  local got = redis.pcall('XREADGROUP', 'GROUP', group, me, 'COUNT', COUNTS[chunk], 'STREAMS', input, '>')
  if got and got.err then
    if n == 1 then
      return redis.error_reply(got.err)
    end
    -- Entries read before must not be pending unseen. The next call meets the same error.
    break
  end
  local entries = got and got[1][2] or {}
  for i = 1, #entries do
    local entry = entries[i]
    local weight = weigh(entry[2])
    if weight > WHOLE then
      entry = answer({ entry[1] }, entry[2], weight, longest)
    end
    n = n + 1
    answers[n] = entry
    if weight > heaviest then
      heaviest = weight
    end
    budget = budget - weight
  end
  if #entries < chunk then
    answers[1] = 0
    break
  end
  left, chunk = left - chunk, 2 * chunk
end
return answers
