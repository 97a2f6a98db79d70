-- Lists the entries that were delivered and are not pending.
--
-- KEYS     1 input stream
-- ARGV     1 group
-- Returns  { { ID, beginning of its announcement } }
-- Atomic   so that no entry is missed while it moves.

local input, group = KEYS[1], ARGV[1]
local delivered = last_delivered(input, group)
if not delivered or delivered == '0-0' then
  return {}
end
local found = {}
local from = '-'
while true do
  local page = redis.call('XRANGE', input, from, delivered, 'COUNT', 20)
  if #page == 0 then
    return found
  end
  for _, entry in ipairs(page) do
    if not redis.call('XPENDING', input, group, entry[1], entry[1], 1)[1] then
      found[#found + 1] = { entry[1], string.sub(announcement_in(entry[2]), 1, 300) }
    end
  end
  from = '(' .. page[#page][1]
end
