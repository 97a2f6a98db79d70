-- Computes the sums over the consumers of a partition from their rows, so that sums that have drifted heal, and removes what consumers
-- that are gone have left in the fleet and in the load.
--
-- KEYS     1 sessions  2 books  3 load  4 fleet
-- ARGV     1 calling consumer  2 settle mode  3 gap threshold, ms  4 most rows
-- Returns  { rows removed, members of load removed, sums that had drifted }; { 'wait' }: nobody may be found gone now; or
--          { 'many', rows }: there are more rows than that, and nothing was done
-- Atomic   so that no consumer changes its row, and the sums with it, between the look at the rows and the new sums.
-- Parts    judge reply fleet
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

-- A greater number was not written by a consumer, and would make a sum that is no integer any more.
local MOST = 999999999

-- Removes names from a key, as many at a time as unpack takes.
local function remove(command, key, names)
  for i = 1, #names, 1000 do
    on_key(command, key, unpack(names, i, math.min(i + 999, #names)))
  end
end

local living, alive = redis.call('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', now), '+inf'), {}
for _, consumer in ipairs(living) do
  alive[consumer] = true
end
local weight, full, sharing, known, gone = 0, 0, {}, 0, {}
local flat = on_key('HGETALL', fleet)
for i = 1, #flat, 2 do
  local consumer = flat[i]
  if alive[consumer] then
    known = known + 1
    local share, away = counted(flat[i + 1])
    weight = weight + (share <= MOST and share or 0)
    full = full + (away <= MOST and away or 0)
    sharing[consumer] = share > 0
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
local books_weight, books_full, joins, books_silent = sums_in(on_key('HGET', books, 'sums'))
local silent, drifted = #living - known, 0
for _, differs in ipairs({ weight ~= books_weight, full ~= books_full, silent ~= books_silent }) do
  drifted = drifted + (differs and 1 or 0)
end
if drifted + #gone > 0 then
  on_key('HSET', books, 'sums', sums_text(weight, full, joins + #gone, silent))
end
return { #gone, #idle, drifted }
