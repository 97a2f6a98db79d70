-- Reads a page of a stream, bounded in weight as well as in number.
--
-- KEYS     1 stream
-- ARGV     1 from this ID on ("(" before it: after it)  2 up to this ID ("+": to the end)  3 most entries  4 most bytes; the
--          entry that exceeds them is the last one
-- Returns  { greatest ID there is now ('' in an empty stream), { id, fields } … }
-- Atomic   so that the end belongs to the page; a script because its answer must come from the master.
-- Parts    master

local stream, from, left = KEYS[1], ARGV[1], tonumber(ARGV[4])
refuse_replica('XDEL', stream, '0-0')
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', '1')[1]
local answer = { last and last[1] or '' }
for _ = 1, tonumber(ARGV[3]) do
  local found = redis.pcall('XRANGE', stream, from, ARGV[2], 'COUNT', '1')
  if found.err then
    -- Nothing can come after the greatest ID, which is refused as an exclusive start.
    if #answer == 1 then
      return redis.error_reply(found.err)
    end
    break
  end
  local entry = found[1]
  if not entry then
    break
  end
  answer[#answer + 1] = entry
  for _, text in ipairs(entry[2]) do
    left = left - #text - 32
  end
  if left < 0 then
    break
  end
  from = '(' .. entry[1]
end
return answer
