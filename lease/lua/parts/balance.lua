-- Shared: what a consumer reports about itself with a beat, and is answered about the others.
--
-- Parts    clock balancekeys fleet info
--
-- It comes last among the writes of a script, and raises nothing: whatever the keys hold, the beat counts.

-- The greatest ID that time can have given: a longer number of milliseconds was chosen by a producer.
local MOST_MS = 13

-- How long the oldest entry that was not delivered yet has waited, ms; -1: there is none. Its body is read once, and its ID then kept
-- in books with what was delivered last before it, since a body may have megabytes. An ID that is no time counts from then.
local function oldest_wait(group)
  local groups = redis.call('XINFO', 'GROUPS', shared.input)
  for _, flat in ipairs(groups) do
    local g = named(flat)
    if g.name == group then
      if g.lag == 0 then
        return -1
      end
      local last = g['last-delivered-id']
      local known = redis.call('HGET', shared.books, 'oldest')
      local after, at = string.match(known or '', '^(%S+) (%d+)$')
      if after ~= last or tonumber(at) > now then
        local page = redis.call('XRANGE', shared.input, '(' .. last, '+', 'COUNT', '1')
        if #page == 0 then
          return -1
        end
        at = string.match(page[1][1], '^%d+')
        if #at > MOST_MS or tonumber(at) > now then
          at = string.format('%.0f', now)
        end
        redis.call('HSET', shared.books, 'oldest', last .. ' ' .. at)
      end
      return now - tonumber(at)
    end
  end
  return -1
end

-- Takes in a whole report.
local function note_report(sessions, me, fill, row)
  local before = redis.call('HGET', shared.fleet, me)
  if before ~= row then
    replace_row(shared, me, before, row)
  end
  local shares = string.sub(row, -7) == ' shares'
  if shares then
    redis.call('ZADD', shared.load, fill, me)
  end
  local living = redis.call('ZCOUNT', sessions, '(' .. string.format('%.0f', now), '+inf')
  local silent = math.max(living - redis.call('HLEN', shared.fleet), 0)
  local weight, full, joins, was = sums_in(redis.call('HGET', shared.books, 'sums'))
  if silent ~= was then
    redis.call('HSET', shared.books, 'sums', sums_text(weight, full, joins, silent))
  end
end

local function exchange(sessions, me, report, group)
  if report ~= '=' then
    local fill, row = string.match(report, '^(%S+) ?(.*)$')
    if row ~= '' then
      note_report(sessions, me, fill, row)
    else
      redis.call('ZADD', shared.load, 'XX', fill, me)
    end
  end
  -- Nothing is computed with these: making a text of a number costs the server as much as reading it does.
  return {
    redis.call('XLEN', shared.input),
    group == '' and -1 or oldest_wait(group),
    redis.call('HGET', shared.books, 'sums'),
    redis.call('ZRANGE', shared.load, '0', '0', 'WITHSCORES')[2] or '-1', -- nil would end the list
  }
end

-- Notes the report of consumer me: "=" if it is as the last one; "<fill>" if only that has changed; or "<fill> <row>". group is that of
-- the service if me wants to know how long entries wait, else ''. Returns { entries of the input stream, how long the oldest one that is
-- not delivered has waited in ms, or -1, the sums in books, the least fill of any, or -1 }; '': nothing was reported, or the script does
-- without; "!<error>".
local function report_balance(sessions, me, report, group)
  if not shared or report == '' then
    return ''
  end
  local ok, answer = pcall(exchange, sessions, me, report, group)
  return ok and answer or '!' .. tostring(answer)
end
