-- Shared: the state of the group.
--
-- Parts    info

-- The group as XINFO describes it; nil if it, or the stream, does not exist.
local function find_group(input, name)
  local groups = redis.pcall('XINFO', 'GROUPS', input)
  if groups.err then
    if is_missing(groups.err) then
      return nil
    end
    error(groups.err, 0)
  end
  for _, flat in ipairs(groups) do
    local group = named(flat)
    if group.name == name then
      return group
    end
  end
end

-- ID of the last entry that the group has delivered.
local function last_delivered(input, name)
  local group = find_group(input, name)
  if not group then
    error('NOGROUP no group ' .. name .. ' on ' .. input, 0)
  end
  return group['last-delivered-id']
end
