-- Shared: members of later, each a packed { ID that the entry had, { field, value, … } }.
--
-- Parts    reply

-- The most that unpack and XADD take; requeue writes no more than this.
local MOST_VALUES = 7900

-- The fields of a member of later, and the ID that it had; nil if it cannot be announced: somebody else wrote it.
local function unpacked(member)
  local ok, entry = pcall(cmsgpack.unpack, member)
  local fields = ok and type(entry) == 'table' and entry[2]
  if type(fields) ~= 'table' or #fields < 2 or #fields % 2 == 1 or #fields > MOST_VALUES then
    return nil
  end
  for i = 1, #fields do
    if type(fields[i]) ~= 'string' and type(fields[i]) ~= 'number' then
      return nil
    end
  end
  return fields, tostring(entry[1])
end

-- Moves a member of later to another stream. Takes the copy back if the member cannot be removed: it would be copied again with
-- every call.
local function move_member(later, member, to, fields)
  local new = redis.call('XADD', to, '*', unpack(fields))
  or_undo({ 'XDEL', to, new }, 'ZREM', later, member)
end
