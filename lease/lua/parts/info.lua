-- Shared: what XINFO answers.

-- What it says of one group or consumer, as a table by name.
local function named(flat)
  local answer = {}
  for i = 1, #flat, 2 do
    answer[flat[i]] = flat[i + 1]
  end
  return answer
end

-- Whether an error says that there is no stream, or no such group.
local function is_missing(err)
  return string.find(err, 'no such key', 1, true) or string.find(err, 'NOGROUP', 1, true)
end
