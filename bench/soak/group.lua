-- last_delivered is the ID of the last entry that the group was given; nil: there is no such group. It stands before other scripts.
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

-- announcement_in is the text of the announcement in the values of an entry, from its beginning; '' where there is none. A field that
-- is there twice counts where it is first.
local function announcement_in(values)
  local text = ''
  for i = #values - 1, 1, -2 do
    if values[i] == 'lbs-input' then
      text = values[i + 1]
    end
  end
  return text
end
