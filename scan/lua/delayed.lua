-- Reads a page of later in the order in which it is due, bounded in bytes as well as in number.
--
-- KEYS     1 later
-- ARGV     1 score and  2 member of the last one that was read ('' and '': none)  3 most members to read  4 most bytes of them,
--          unless a single one has more  5 a text that members must contain to be returned ('': none)  6 '1': return the members,
--          too  7 most members to return  8 bytes after which the last one is cut ('0': never)  9 if 2 was cut, how many members
--          that follow it in order were read, too; else '0'
-- Returns  { members that there are now, rank of the next one, members read, score and member of the last one, number for 9,
--          { due time, ms, ID, announcement or false if it cannot be read, retry count, crash count, bytes, the member or '' } … }
-- Atomic   so that the page is of one moment; a script because the answer must come from the master, and so that what is not asked
--          for stays there.
-- Parts    master entry member needle

local later, score, last, most, budget, text = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local wide, longest, skip = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
refuse_replica('ZREM', later, '-')

-- Reports whether a comes after b in a sorted set. Lua would compare in the server's locale; and byte by byte, megabytes that are
-- equal take it a second.
local CHUNK = 256
local function follows(a, b)
  if a == b then
    return false
  end
  local at = 1
  while at <= #a and string.sub(a, at, at + CHUNK - 1) == string.sub(b, at, at + CHUNK - 1) do
    at = at + CHUNK
  end
  for i = at, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x > y
    end
  end
  return #a > #b
end

-- The rank of the first member after the last one, which may be gone. Ranks are found in logarithmic time; with LIMIT, the server
-- walks past all members of the same score, once for each question.
local function first_unread()
  local low, high = redis.call('ZCOUNT', later, '-inf', '(' .. score), redis.call('ZCOUNT', later, '-inf', score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call('ZRANGE', later, middle, middle)[1]
    if follows(member, last) then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local function row(member, due)
  local fields, id = unpacked(member)
  local function count(name)
    return string.sub(fields and field(fields, name) or '', 1, 20)
  end
  return {
    due, id or '', fields and tostring(field(fields, 'lbs-input') or '') or false, count('_retry_count'), count('_crash_count'), #member,
    ARGV[6] == '1' and member or '',
  }
end

local rank = score == '' and 0 or first_unread() + skip
-- One first, then as many at a time as are likely to be within what is left, and few: light ones may be followed by heavy ones.
local AT_ONCE = 16
local rows, n, bytes, size = {}, 0, 0, math.min(1, most)
while size > 0 do
  local page = redis.call('ZRANGE', later, rank, rank + size - 1, 'WITHSCORES')
  for i = 1, #page, 2 do
    -- Members beyond the budget were read, but are left to the next page.
    if n == 0 or bytes <= budget and #rows < wide then
      local member, due = page[i], page[i + 1]
      n, bytes, rank = n + 1, bytes + #member, rank + 1
      last, score = member, due
      if may_contain(member, text) then
        rows[#rows + 1] = row(member, due)
      end
    end
  end
  if #page < 2 * size or #rows >= wide then
    break
  end
  size = math.min(2 * size, AT_ONCE, most - n, math.floor((budget - bytes) / (bytes / n)))
end
skip = 0
if longest > 0 and #last > longest then
  last = string.sub(last, 1, longest)
  skip = rank - first_unread()
end
return { redis.call('ZCARD', later), rank, n, score, last, skip, unpack(rows) }
