-- Reads a page of announcements that are neither pending nor undelivered.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 from this ID on ("(" before it: after it)  3 up to this ID ('': to what the group delivered last)
--          4 most entries to read  5 most bytes of them, unless a single one has more
-- Returns  { the end of the range, the last ID that was read ('': there is nothing more), { id, fields } … }
-- Atomic   so that no entry that is delivered or moved meanwhile is taken for stranded.
-- Parts    master entry group info

local input, group, from, upto = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local most, budget = tonumber(ARGV[4]), tonumber(ARGV[5])

refuse_replica('XACK', input, group, '0-0')
if upto == '' then
  local ok, last = pcall(last_delivered, input, group)
  if not ok then
    local text = message(last)
    if is_missing(text) then
      return { '0-0', '' }
    end
    error(text, 0)
  end
  upto = last
end

local function bytes_of(fields)
  local n = 64
  for i = 1, #fields do
    n = n + #fields[i]
  end
  return n
end

-- So few are read at once since light entries may be followed by heavy ones. As in read.lua.
local AT_ONCE = 16

-- One entry first, then as many at a time as are likely to be within what is left.
local entries, bytes, count = {}, 0, 1
while count > 0 do
  local page = redis.call('XRANGE', input, from, upto, 'COUNT', string.format('%.0f', count))
  for i = 1, #page do
    -- Entries beyond the budget were read, but are left to the next page.
    if bytes <= budget then
      entries[#entries + 1] = page[i]
      bytes = bytes + bytes_of(page[i][2])
      from = '(' .. page[i][1]
    end
  end
  if #page < count then
    break
  end
  count = math.min(2 * count, AT_ONCE, most - #entries, math.floor((budget - bytes) / (bytes / #entries)))
end
if #entries == 0 then
  return { upto, '' }
end

local pending, at, last = {}, entries[1][1], entries[#entries][1]
while true do
  local page = redis.call('XPENDING', input, group, at, last, '1000')
  for i = 1, #page do
    pending[page[i][1]] = true
  end
  if #page < 1000 then
    break
  end
  at = '(' .. page[#page][1]
end
local answer = { upto, last }
for i = 1, #entries do
  if not pending[entries[i][1]] then
    answer[#answer + 1] = entries[i]
  end
end
return answer
