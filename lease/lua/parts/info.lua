-- Shared: answers of XINFO.

-- One group or consumer as a table.
local function named(flat)
  local answer = {}
  for i = 1, #flat, 2 do
    answer[flat[i]] = flat[i + 1]
  end
  return answer
end

-- Reports whether an error means that the stream, or the group, does not exist.
local function is_missing(err)
  return string.find(err, 'no such key', 1, true) or string.find(err, 'NOGROUP', 1, true)
end
