-- Functions of acts.lua and stranded.lua, to which this is prepended.

-- last_delivered returns the ID of the last entry that was delivered to the group; nil: there is no such group.
local function last_delivered(input, group)
  local groups = redis.pcall('XINFO', 'GROUPS', input)
  for _, flat in ipairs(groups.err and {} or groups) do
    local g = {}
    for i = 1, #flat, 2 do
      g[flat[i]] = flat[i + 1]
    end
    if g.name == group then
      return g['last-delivered-id']
    end
  end
end

-- announcement_in returns the text of the announcement among the fields and values of an entry, of the first such field; '': there is none.
local function announcement_in(values)
  local text = ''
  for i = #values - 1, 1, -2 do
    if values[i] == 'lbs-input' then
      text = values[i + 1]
    end
  end
  return text
end
