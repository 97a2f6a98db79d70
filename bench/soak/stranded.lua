-- Lists the entries that were delivered and are not pending.
--
-- KEYS     1 input stream
-- ARGV     1 group
-- Returns  { { ID, beginning of its announcement } }
-- Atomic   so that no entry is between two places.

local input, group = KEYS[1], ARGV[1]
local delivered = '0-0'
local groups = redis.pcall('XINFO', 'GROUPS', input)
for _, flat in ipairs(groups.err and {} or groups) do
  local g = {}
  for i = 1, #flat, 2 do
    g[flat[i]] = flat[i + 1]
  end
  if g.name == group then
    delivered = g['last-delivered-id']
  end
end
if delivered == '0-0' then
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
      local text = ''
      for i = #entry[2] - 1, 1, -2 do
        if entry[2][i] == 'lbs-input' then
          text = entry[2][i + 1]
        end
      end
      found[#found + 1] = { entry[1], string.sub(text, 1, 300) }
    end
  end
  from = '(' .. page[#page][1]
end
