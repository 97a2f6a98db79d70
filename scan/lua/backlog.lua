-- Measures how much there is to do in a partition.
--
-- KEYS     1 input stream  2 later  3 dead-letter stream
-- ARGV     1 group  2 most entries to count
-- Returns  { now, length of the input stream, entries not delivered yet, how that is known ('counted', 'told',
--          'estimated'), entries pending, consumers, ID of the first pending entry or '', ID of the first one not
--          delivered or '', entries in later, how many of them are due, dead letters }
-- Atomic   so that the numbers are of one moment; a script because the answer must come from the master.
-- Parts    master clock body group
--
-- The lag that XINFO reports is not trusted alone. It is nil after deletions among undelivered entries, and for a group whose
-- position was set by hand, and servers before Redis 7 have none; worse, once the group has gone past such a deletion, or past
-- trimmed entries, it stays too great by their number without a sign. So it is trusted where it equals length less pending, which
-- is wrong for other reasons: too great by what is stranded, too small by what is pending without a body. Otherwise the lag is
-- counted, from whichever side is shorter: the entries after the last delivered ID, or those up to it, which are subtracted from
-- the length. That comes first where it is only a few entries, since nothing is as certain.
--
-- If both sides are too many, the lesser of the two numbers is the estimate, since what makes either too great is frequent
-- (dead letters that refer to entries count as stranded), and what makes them too small is not. It is kept within what is
-- certain. IDs are times, but no help: announcements come in bursts.

local input, later, dead = KEYS[1], KEYS[2], KEYS[3]
local name, limit = ARGV[1], tonumber(ARGV[2])
-- Counting reads the entries; more than this is too much.
local MOST_WEIGHT = 16777216
-- So few are read at once since light entries may be followed by heavy ones. As in read.lua.
local PAGE = 16
-- Counted before anything else: some 0.3 ms of the server's time.
local FEW = 100

refuse_replica('XACK', input, name, '0-0')

-- The number of entries from first to last, and true if these are all: it ends beyond the limit, and where they are too heavy.
local function count(first, last)
  local n, size, weight, heaviest = 0, 1, 0, 1
  while true do
    size = math.max(1, math.min(2 * size, PAGE, math.floor((MOST_WEIGHT - weight) / heaviest)))
    local page = redis.pcall('XRANGE', input, first, last, 'COUNT', size)
    if page.err or #page == 0 then
      -- Nothing can come after the greatest ID, which is refused as an exclusive start.
      return n, true
    end
    n = n + #page
    for i = 1, #page do
      local heavy = weigh(page[i][2])
      weight, heaviest = weight + heavy, math.max(heaviest, heavy)
    end
    if n > limit or weight > MOST_WEIGHT then
      return n, false
    end
    first = '(' .. page[#page][1]
  end
end

local function find_lag(group, length, waiting)
  if not group then
    return length, 'counted'
  elseif waiting == '' then
    return 0, 'counted'
  end
  local at, pending, told = group['last-delivered-id'], group.pending, group.lag
  local rest = length - pending
  local agreed = told and told == rest
  local least, most = 1, length
  local function after()
    local n, all = count('(' .. at, '+')
    least = math.max(least, n)
    return all and n
  end
  local function upto()
    local n, all = count('-', at)
    most = math.min(most, length - n)
    return all and most
  end
  -- Counts far beyond the limit are not begun.
  local function maybe(n, side)
    return n <= 2 * limit and side()
  end
  if agreed and rest > FEW and pending > FEW then
    return rest, 'told'
  end
  local lag
  if rest <= pending then
    lag = maybe(rest, after) or maybe(pending, upto)
  else
    lag = maybe(pending, upto) or maybe(rest, after)
  end
  if lag then
    return lag, 'counted'
  elseif agreed then
    return rest, 'told'
  end
  return math.max(least, math.min(most, rest, told or rest)), 'estimated'
end

local length = redis.call('XLEN', input)
local group = find_group(input, name)
local first_pending, first_waiting = '', ''
if group and group.pending > 0 then
  first_pending = redis.call('XPENDING', input, name)[2]
end
local waiting = redis.pcall('XRANGE', input, group and '(' .. group['last-delivered-id'] or '-', '+', 'COUNT', '1')
if not waiting.err and waiting[1] then
  first_waiting = waiting[1][1]
end
local lag, by = find_lag(group, length, first_waiting)
return {
  now, length, lag, by, group and group.pending or 0, group and group.consumers or 0, first_pending, first_waiting,
  redis.call('ZCARD', later), redis.call('ZCOUNT', later, '-inf', now), redis.call('XLEN', dead),
}
