-- Reads a page of signals.
--
-- KEYS     1 signals
-- ARGV     1 position: signals after it are read  2 '1': the position is that of a signal, not of a time
--          3 most signals  4 weight after which the page ends  5 weight of a signal beyond which its fields are left out
-- Returns  { 1 if the signal at the position is gone, so that others after it may be gone, too; else 0,
--            1 if there may be more after this page, else 0, { id, fields } … }
-- Atomic   so that nothing is trimmed between the look at the position and the page; a script because the answer must come from the
--          master.
-- Parts    master weight

local signals, position = KEYS[1], ARGV[1]
local most, budget, heaviest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

refuse_replica('XDEL', signals, '0-0')

local gone = ARGV[2] == '1' and #redis.call('XRANGE', signals, position, position) == 0 and 1 or 0
local answer, from, step, more = { gone, 0 }, '(' .. position, 1, 1
while most > 0 and budget > 0 do
  -- Few at a time at first, since the weight of the next is not known.
  local count = math.min(step, most)
  local page = redis.call('XRANGE', signals, from, '+', 'COUNT', tostring(count))
  for i = 1, #page do
    local weight = weigh(page[i][2])
    if weight > heaviest then
      page[i][2] = {}
    end
    budget = budget - math.min(weight, heaviest)
    answer[#answer + 1] = page[i]
    from = '(' .. page[i][1]
  end
  if #page < count then
    more = 0
    break
  end
  most = most - count
  step = math.min(2 * step, 16)
end
answer[2] = more
return answer
