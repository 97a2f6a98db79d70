-- Measures how much there is to do in a partition.
--
-- KEYS     1 input stream  2 later  3 dead-letter stream
-- ARGV     1 group  2 most entries to count
-- Returns  { now, length of the input stream, entries not delivered yet (-1: unknown), how that is known ('counted',
--          'told', 'unknown'), entries pending, consumers, ID of the first pending entry or '', ID of the first one not
--          delivered or '', entries in later, how many of them are due, dead letters }
-- Atomic   so that the numbers are of one moment; a script because the answer must come from the master.
-- Parts    master clock body group
--
-- The lag that XINFO reports is not trusted alone. It is nil after deletions among undelivered entries, and for a group whose
-- position was set by hand; worse, once the group has gone past such a deletion, or past trimmed entries, it stays too great by
-- their number without a sign. So the lag is counted, from whichever side is shorter: the entries after the last delivered ID, or
-- those up to it, which are subtracted from the length. If both are too many, XINFO's lag is trusted if it equals length less
-- pending, which fails in other ways.

local input, later, dead = KEYS[1], KEYS[2], KEYS[3]
local name, limit = ARGV[1], tonumber(ARGV[2])
-- Counting reads the entries; more than this is too much.
local MOST_WEIGHT = 16777216
-- So few are read at once since light entries may be followed by heavy ones. As in read.lua.
local PAGE = 16

refuse_replica('XACK', input, name, '0-0')

-- The number of entries from first to last; nil if there are more than limit, or they are too heavy.
local function count(first, last)
  local n, size, weight, heaviest = 0, 1, 0, 1
  while true do
    size = math.max(1, math.min(2 * size, PAGE, math.floor((MOST_WEIGHT - weight) / heaviest)))
    local page = redis.pcall('XRANGE', input, first, last, 'COUNT', size)
    if page.err or #page == 0 then
      -- Nothing can come after the greatest ID, which is refused as an exclusive start.
      return n
    end
    n = n + #page
    for i = 1, #page do
      local heavy = weigh(page[i][2])
      weight, heaviest = weight + heavy, math.max(heaviest, heavy)
    end
    if n > limit or weight > MOST_WEIGHT then
      return nil
    end
    first = '(' .. page[#page][1]
  end
end

local function find_lag(group, length)
  if not group then
    return length, 'counted'
  end
  local at, rest = group['last-delivered-id'], length - group.pending
  local function after()
    return count('(' .. at, '+')
  end
  local function upto()
    local n = count('-', at)
    return n and length - n
  end
  -- Counts far beyond the limit are not begun.
  local function maybe(n, side)
    return n <= 2 * limit and side() or nil
  end
  local lag
  if rest <= group.pending then
    lag = maybe(rest, after) or maybe(group.pending, upto)
  else
    lag = maybe(group.pending, upto) or maybe(rest, after)
  end
  if lag then
    return lag, 'counted'
  end
  if group.lag and group.lag == rest then
    return rest, 'told'
  end
  return -1, 'unknown'
end

local length = redis.call('XLEN', input)
local group = find_group(input, name)
local lag, by = find_lag(group, length)
local first_pending, first_waiting = '', ''
if group and group.pending > 0 then
  first_pending = redis.call('XPENDING', input, name)[2]
end
local waiting = redis.pcall('XRANGE', input, group and '(' .. group['last-delivered-id'] or '-', '+', 'COUNT', '1')
if not waiting.err and waiting[1] then
  first_waiting = waiting[1][1]
end
return {
  now, length, lag, by, group and group.pending or 0, group and group.consumers or 0, first_pending, first_waiting,
  redis.call('ZCARD', later), redis.call('ZCOUNT', later, '-inf', now), redis.call('XLEN', dead),
}
