-- Shared: the state of the group. Needs nothing.

-- ID of the last entry that the group has delivered.
local function last_delivered(input, name)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', input)) do
    local group = {}
    for i = 1, #flat, 2 do
      group[flat[i]] = flat[i + 1]
    end
    if group.name == name then
      return group['last-delivered-id']
    end
  end
  error('NOGROUP no group ' .. name .. ' on ' .. input, 0)
end
