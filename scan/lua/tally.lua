-- Computes the sums over the consumers of a partition from their rows, so that sums that have drifted heal, and removes what consumers
-- that are gone have left in the fleet and in the load.
--
-- KEYS     1 sessions  2 books  3 load  4 fleet
-- ARGV     1 calling consumer  2 settle mode  3 gap threshold, ms  4 most rows
-- Returns  { rows removed, members of load removed, 1 if the sums had drifted, else 0 }; { 'wait' }: nobody may be found gone now; or
--          { 'many', rows }: there are more rows than that, and nothing was done
-- Atomic   so that no consumer changes its row, and the sums with it, between the look at the rows and the new sums.
-- Parts    judge checkpoint
--
-- Sums drift where a server forgets one of two calls, or the row of a consumer and not its share of the sums. A caller that dies leaves
-- nothing half-way, and a call that runs late goes by what is there then, so a second one changes nothing more. What a missing right
-- leaves half-way is finished by a later run.
--
-- It takes time in proportion to the rows, so there is a limit: somebody may have written a million by hand. Going through those page by
-- page would not do, since consumers change their rows and the sums between the pages.

local sessions, books, load, fleet = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local most = tonumber(ARGV[4])

local waiting = must_wait(sessions, ARGV[1], ARGV[2], ARGV[3])
if waiting then
  return waiting
end
if redis.call('PTTL', books) == -2 and redis.call('PTTL', fleet) == -2 then
  return { 0, 0, 0 } -- where no consumer takes part, no right is missed
end
local count = on_key('HLEN', fleet)
if count > most then
  return { 'many', count }
end

-- A longer number was not written by a consumer, and would make a sum that is no integer any more. Times, which are not summed, may
-- have more.
local MOST_DIGITS, MOST_DIGITS_OF_TIME = 9, 15

-- The weight × 1,000, the streams that the books count as away, and the state in a row; nil if it cannot be read. A later version may
-- append to it.
local function parse_row(row)
  local weight, away, over, state = string.match(row .. ' ', '^(%d+) (%d+) (%d+) (%l+) ')
  if weight and #weight <= MOST_DIGITS and #away <= MOST_DIGITS and #over <= MOST_DIGITS_OF_TIME then
    return tonumber(weight), tonumber(away), state
  end
end

-- Removes names from a key, as many at a time as unpack takes.
local function remove(command, key, names)
  for i = 1, #names, 1000 do
    on_key(command, key, unpack(names, i, math.min(i + 999, #names)))
  end
end

local alive = {}
for _, consumer in ipairs(redis.call('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', now), '+inf')) do
  alive[consumer] = true
end
local weight, full, sharing, gone = 0, 0, {}, {}
local flat = on_key('HGETALL', fleet)
for i = 1, #flat, 2 do
  local consumer = flat[i]
  if alive[consumer] then
    local share, away, state = parse_row(flat[i + 1])
    if state == 'shares' then
      weight = weight + share
      sharing[consumer] = true
    elseif state then
      full = full + away
    end
  else
    gone[#gone + 1] = consumer
  end
end

-- No more than count of these share. What is beyond them waits for the next run.
local idle = {}
for _, consumer in ipairs(on_key('ZRANGE', load, 0, count + most - 1)) do
  if not sharing[consumer] then
    idle[#idle + 1] = consumer
  end
end

remove('HDEL', fleet, gone)
remove('ZREM', load, idle)
local sums = { string.format('%.0f', weight), string.format('%.0f', full) }
local known = on_key('HMGET', books, 'weight', 'full')
local drifted = (known[1] or '0') ~= sums[1] or (known[2] or '0') ~= sums[2]
if drifted then
  on_key('HSET', books, 'weight', sums[1], 'full', sums[2])
end
if #gone > 0 then
  on_key('HINCRBY', books, 'joins', #gone)
end
return { #gone, #idle, drifted and 1 or 0 }
