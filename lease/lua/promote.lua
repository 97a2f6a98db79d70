-- Moves what is due in later back to the input stream.
--
-- KEYS     1 input stream  2 later  3 the dead-letter stream, only when an unreadable member was reported
-- ARGV     1 most to move
-- Returns  { moved, still due, unreadable members that were left }
-- Atomic   each member leaves later in the step that adds its entry.
-- Parts    clock

-- What unpack and XADD take; requeue writes no more than this.
local MOST = 7900

local function readable(fields)
  if type(fields) ~= 'table' or #fields < 2 or #fields % 2 == 1 or #fields > MOST then
    return false
  end
  for i = 1, #fields do
    if type(fields[i]) ~= 'string' and type(fields[i]) ~= 'number' then
      return false
    end
  end
  return true
end

local input, later, dead = KEYS[1], KEYS[2], KEYS[3]
local moved, unreadable = 0, 0
local members = redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, tonumber(ARGV[1]))
for _, member in ipairs(members) do
  local ok, entry = pcall(cmsgpack.unpack, member)
  local fields = ok and type(entry) == 'table' and entry[2]
  if readable(fields) then
    redis.call('XADD', input, '*', unpack(fields))
    redis.call('ZREM', later, member)
    moved = moved + 1
  elseif dead then
    redis.call('XADD', dead, '*', 'lbs-input', member, '_reason', 'unreadable member of ' .. later,
      '_dead_at', string.format('%.0f', now))
    redis.call('ZREM', later, member)
    moved = moved + 1
  else
    unreadable = unreadable + 1
  end
end
return { moved, redis.call('ZCOUNT', later, '-inf', now), unreadable }
