-- Reads a page of dead letters, the newest first.
--
-- KEYS     1 dead-letter stream
-- ARGV     1 from this ID on ("(" before it: before it; "+": from the end)  2 down to this ID ("-": to the beginning)  3 most letters to
--          look at  4 most to return  5 weight after which the page ends  6 a text that an announcement must contain for its letter
--          to be returned ('': none)  7 what its reason must begin with
-- Returns  { the last ID that was looked at ('': none), letters looked at, 1 if there are no more, else 0, { id, fields } … }
-- Atomic   so that the page is of one moment; a script because the answer must come from the master, and so that what is not asked
--          for stays there.
-- Parts    master entry needle

local letters, first, last = KEYS[1], ARGV[1], ARGV[2]
local most, wide, budget, text, reason = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7]

refuse_replica('XDEL', letters, '0-0')

local function wanted(fields)
  return string.sub(field(fields, '_reason') or '', 1, #reason) == reason and may_contain(field(fields, 'lbs-input') or '', text)
end

local answer, at, looked, ended = {}, '', 0, 1
while true do
  if looked == most or #answer == wide or budget <= 0 then
    ended = 0
    break
  end
  -- One at a time, since the weight of a page is not known beforehand.
  local entry = redis.call('XREVRANGE', letters, first, last, 'COUNT', '1')[1]
  if not entry then
    break
  end
  at, looked, budget = entry[1], looked + 1, budget - weigh(entry[2])
  if wanted(entry[2]) then
    answer[#answer + 1] = entry
  end
  first = '(' .. at
end
return { at, looked, ended, unpack(answer) }
