-- Counts what consumers hold, and since when, in a page of what is pending.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 group  2 from this ID on ("(" before it: after it)  3 most entries  4 bytes of names after which the page ends
--          5 the end of the window, ms ('': now)  6 its length, ms  7 into how many steps it is divided
-- Returns  { the end of the window, the last ID that was looked at ('': none), entries looked at, 1 if there are no more, else 0,
--          { streams taken in each step … }, { consumer, streams held, of which taken in the window, when the first and the last of
--          those, ms, 1 if it is alive, else 0 } … }
-- Atomic   so that the page is of one moment; a script because the answer must come from the master, and so that a count is sent
--          instead of each entry.
-- Parts    master clock entry info

local input, sessions, group, from, most, budget = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local finish = tonumber(ARGV[5]) or now
local window, count = tonumber(ARGV[6]), tonumber(ARGV[7])
local start, held = finish - window, tonumber(HELD)

refuse_replica('XACK', input, group, '0-0')

local steps, rows, of = {}, {}, {}
for k = 1, count do
  steps[k] = 0
end

-- The row of a consumer.
local function row_of(consumer)
  local row = of[consumer]
  if not row then
    local deadline = redis.call('ZSCORE', sessions, consumer)
    row = { consumer, 0, 0, 0, 0, deadline and tonumber(deadline) > now and 1 or 0 }
    of[consumer], rows[#rows + 1] = row, row
  end
  return row
end

local function add(consumer, idle)
  local row, since = row_of(consumer), now - idle
  row[2] = row[2] + 1
  if since >= start then
    -- What was taken after the window belongs to its end: pages are read one after the other.
    local at = math.min(since, finish)
    local k = math.min(math.floor((at - start) * count / window), count - 1) + 1
    steps[k] = steps[k] + 1
    row[4] = row[3] == 0 and at or math.min(row[4], at)
    row[3], row[5] = row[3] + 1, math.max(row[5], at)
  end
end

-- So few are read at once since a name may be long.
local AT_ONCE = 100
local last, looked, ended = '', 0, 0
while looked < most and budget > 0 do
  local page = redis.pcall('XPENDING', input, group, from, '+', math.min(AT_ONCE, most - looked))
  if page.err and not is_missing(page.err) and last == '' then
    return redis.error_reply(page.err)
  end
  -- Nothing can come after the greatest ID, which is refused as an exclusive start.
  if page.err or #page == 0 then
    ended = 1
    break
  end
  for _, p in ipairs(page) do
    if p[4] >= held then
      add(p[2], p[3])
    end
    budget = budget - #p[2]
  end
  looked, last = looked + #page, page[#page][1]
  from = '(' .. last
end
return { string.format('%.0f', finish), last, looked, ended, steps, unpack(rows) }
