-- Reads a page of later, bounded in weight as well as in number.
--
-- KEYS     1 later
-- ARGV     1 rank of the first  2 most members  3 most bytes; the member that exceeds them is the last one
-- Returns  { member, due time, announcement or false if it cannot be read } a member
-- Atomic   so that the ranks are of one moment; a script because the answer must come from the master.
-- Parts    master

local later, rank, left = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3])
refuse_replica('ZREM', later, '-')

local function announcement(member)
  local ok, entry = pcall(cmsgpack.unpack, member)
  local fields = ok and type(entry) == 'table' and entry[2]
  if type(fields) ~= 'table' then
    return false
  end
  for i = 1, #fields - 1, 2 do
    if fields[i] == 'lbs-input' then
      return type(fields[i + 1]) == 'string' and fields[i + 1]
    end
  end
  return false
end

local answer = {}
for n = 0, tonumber(ARGV[2]) - 1 do
  local found = redis.call('ZRANGE', later, rank + n, rank + n, 'WITHSCORES')
  if not found[1] then
    break
  end
  answer[#answer + 1] = { found[1], found[2], announcement(found[1]) }
  left = left - #found[1]
  if left < 0 then
    break
  end
end
return answer
