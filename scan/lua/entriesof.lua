-- Looks through a part of the input stream for the announcements of a data stream.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 from this ID on ("(" before it: after it)  3 up to this ID ('': to what the group delivered last; "+": to the end)
--          4 most entries to look at  5 weight after which the page ends  6 a text that announcements must contain to be returned
--          ('': none)
-- Returns  { the end of the range, the last ID that was looked at ('': none), entries looked at, 1 if there are no more, else 0,
--          { id, its number among those looked at, consumer that it is pending for or '', idle ms, fields … as body.lua returns
--          them } … }
-- Atomic   so that whether an entry is pending belongs to where the range ends; a script because the answer must come from the
--          master, and so that what is not asked for stays there.
-- Parts    master entry group body needle

local input, group, from, upto = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local most, budget, text = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]

refuse_replica('XACK', input, group, '0-0')
local delivered = find_group(input, group)
if upto == '' then
  upto = delivered and delivered['last-delivered-id'] or '0-0'
end

-- So few are read at once since light entries may be followed by heavy ones. As in read.lua.
local AT_ONCE = 16

local rows, at, looked, size, ended = {}, '', 0, 1, 0
while looked < most and budget > 0 do
  local page = redis.pcall('XRANGE', input, from, upto, 'COUNT', string.format('%.0f', size))
  if page.err and at == '' then
    return redis.error_reply(page.err)
  end
  -- Nothing can come after the greatest ID, which is refused as an exclusive start.
  if page.err or #page == 0 then
    ended = 1
    break
  end
  for i = 1, #page do
    -- Entries beyond the budget were read, but are left to the next page.
    if budget > 0 then
      local id, fields = page[i][1], page[i][2]
      local weight = weigh(fields)
      at, from, looked, budget = id, '(' .. id, looked + 1, budget - weight
      if may_contain(field(fields, 'lbs-input') or '', text) then
        local pending = delivered and find_pending(input, group, id) or {}
        rows[#rows + 1] = answer({ id, looked, pending[2] or '', pending[3] or 0 }, fields, weight, 0)
      end
    end
  end
  size = math.max(1, math.min(2 * size, AT_ONCE, most - looked, math.floor(budget / 65536)))
end
return { upto, at, looked, ended, unpack(rows) }
