-- Looks at a stream.
--
-- KEYS     1 stream
-- Returns  { last-generated-id, length, entries-added or -1, ID of the first entry or '' }; nothing if it does not exist
-- Atomic   no need; a script because XINFO STREAM sends the first and the last entry whole.

local answer = redis.pcall('XINFO', 'STREAM', KEYS[1])
if answer.err then
  if string.find(answer.err, 'no such key', 1, true) then
    return {}
  end
  return answer
end
local info = {}
for i = 1, #answer, 2 do
  info[answer[i]] = answer[i + 1]
end
local first = info['first-entry']
return { info['last-generated-id'], info['length'], info['entries-added'] or -1, first and first[1] or '' }
