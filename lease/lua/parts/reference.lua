-- Shared: dead letters that refer to an entry of the input stream.
--
-- Parts    value entry group

-- The ID of the entry that a dead letter refers to, or nil. Our letters name it twice: a producer's own field means nothing.
local function reference(fields)
  local id = field(fields, '_reference')
  return id and id == field(fields, '_original_id') and string.find(id, '^%d+%-%d+$') and id
end

-- Why an entry does not belong to its dead letter alone, or nil: after a failover, or by hand, it may be pending or undelivered
-- again.
local function in_use(input, name, id)
  local group = find_group(input, name)
  if not group or after(id, group['last-delivered-id']) then
    return 'it is not delivered'
  end
  local row = find_pending(input, name, id)
  return row and 'it is pending for ' .. row[2]
end
