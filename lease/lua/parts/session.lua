-- Shared: the session set of a partition.
--
-- Parts    clock record deadline server
--
-- Members with a positive score are consumers, the score is their deadline (ms of this server's clock); 0 is a closed session.
-- Records (record.lua) have the score -inf. Members with another negative score are the books:
--   !beat             -(time of anybody's last beat)
--   !ttl              -(greatest session TTL in force, ms): a partition settles for that long
--   !firm:<ms>:<ms>   !ttl before it last grew, and now; -(time from which the latter may be relied on)
--   !seen:<ms>        the greatest session TTL that the last look found; -(time of that look)
--   !run:<id>         -(time at which this server was first seen under this id, ms): it settles until that time + !ttl
--
-- mode is how a server is distinguished from its successor: see server.lua.

local function books(sessions)
  local book = { ttl = 0, runs = {}, firms = {}, seens = {} }
  local flat = redis.call('ZRANGEBYSCORE', sessions, '(-inf', '(0', 'WITHSCORES')
  for i = 1, #flat, 2 do
    local member, value = flat[i], -tonumber(flat[i + 1])
    local word, rest = string.match(member, '^!(%l+):?(.*)$')
    if word == 'beat' then
      book.beat = value
    elseif word == 'ttl' then
      book.ttl = value
    elseif word == 'run' then
      book.runs[#book.runs + 1] = member
      book.run, book.since = rest, value
    elseif word == 'firm' then
      local firm, known = string.match(rest, '^(%d+):(%d+)$')
      book.firms[#book.firms + 1] = member
      book.firm, book.known, book.firm_at = tonumber(firm), tonumber(known), value
    elseif word == 'seen' then
      book.seens[#book.seens + 1] = member
      book.seen, book.seen_at = tonumber(rest), value
    end
  end
  return book
end

-- Replaces members of the same kind by one.
local function replace(sessions, members, member, score)
  for i = 1, #members do
    if members[i] ~= member then
      redis.call('ZREM', sessions, members[i])
    end
  end
  redis.call('ZADD', sessions, score, member)
end

-- Reports whether nothing free may be taken now; reads only. The second result is an error.
local function is_settling(sessions, mode)
  if mode == 'off' then
    return false
  end
  local run = server_id(mode)
  if not run then
    return true, redis.error_reply(NO_SERVER_ID)
  end
  local book = books(sessions)
  return #book.runs ~= 1 or book.run ~= run or now < book.since + book.ttl
end

-- Gives every open session a new deadline (0 stays 0, the books stay negative). A fraction, which marks an adopted one, stays.
local function revive_all(sessions, deadline)
  local flat = redis.call('ZRANGEBYSCORE', sessions, '(0', '+inf', 'WITHSCORES')
  for i = 1, #flat, 2 do
    redis.call('ZADD', sessions, deadline + flat[i + 1] % 1, flat[i])
  end
end

-- After a gap in everybody's beats: adds the gap to the deadlines of those who were alive at the last beat, so that nobody looks
-- dead to the first one back.
local function bridge(sessions, last, gap)
  local flat = redis.call('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', last), '+inf')
  for i = 1, #flat do
    redis.call('ZADD', sessions, 'XX', 'INCR', gap, flat[i])
  end
end

-- The clock was set back: no session may last longer than the greatest TTL from here, or a consumer that died just before would
-- stay alive until the clock has caught up. The process of a living one believes in it for no longer than that.
local function cap_all(sessions, most)
  local flat = redis.call('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', most), '+inf', 'WITHSCORES')
  for i = 1, #flat, 2 do
    redis.call('ZADD', sessions, most + flat[i + 1] % 1, flat[i])
  end
end

local function note_firm(sessions, book, firm, known, at)
  book.firm, book.known, book.firm_at = firm, known, at
  local member = string.format('!firm:%.0f:%.0f', firm, known)
  replace(sessions, book.firms, member, -at)
  book.firms = { member }
end

-- Puts a session TTL on record, so that whoever settles later waits that long, and records what may be relied on meanwhile.
--
-- Trace: everybody has 2 s. One consumer starts with 30 s, takes a stream, and the server dies. The replica that is promoted has
-- not received the 30 s, settles for 2 s and gives the stream away while its owner believes in it for half a minute. So:
--
--   a session may be believed in for no longer than !ttl was before it grew, until the greater one has been on record
--   for as long as the one it replaced lasts.
--
-- Let g(t) be the TTL on record at t. A server that takes over has the state of a time r and settles for g(r) from some p on,
-- p >= f, the failure of its predecessor. It must lag by less than the TTL it knows: f - r < g(r). A beat that ran at e <= f and
-- was answered T is believed until e + T at most. To show: g(r) >= T, since then e + T <= p + g(r).
--   r >= e  The successor has the beat's own record, which falls no lower while its session lasts (age).
--   r < e   Suppose g(r) < T. When T was answered, it was firm: at or before e there is a first growth k after r from some w < T
--           to T or more, and e >= k + w. If g(r) <= w, then f < r + g(r) < k + w <= e. If not, g fell after r, and that
--           delayed the firm time by what g fell from, g(r) or more: f < r + g(r) < e. But e <= f.
-- A second growth before the first is firm keeps the firm TTL and delays its time. If nothing was on record, there is nothing to
-- wait for: a successor that lacks this record lacks the group, or all data.
-- A TTL that an older version has put on record shows in the second number of !firm, and counts from when it is found.
local function put_on_record(sessions, book, reach)
  local known = math.min(book.known or book.ttl, book.ttl)
  local firm = math.min(book.firm or known, known)
  local at = book.firm_at or 1
  local ttl = math.max(reach, book.ttl)
  if ttl > book.ttl then
    redis.call('ZADD', sessions, -ttl, '!ttl')
    book.ttl = ttl
  end
  if known == 0 then
    firm, at = ttl, 1
  else
    if book.beat and book.beat > now then
      at = math.min(at, now + ttl) -- the clock was set back
    end
    if ttl > known then
      firm = now >= at and known or firm
      at = math.max(at, now + known)
    end
  end
  if firm ~= book.firm or ttl ~= book.known or at ~= book.firm_at then
    note_firm(sessions, book, firm, ttl, at)
  end
end

-- The greatest session TTL that anybody may rely on now, ms.
local function relied(book)
  return now >= book.firm_at and book.ttl or book.firm
end

-- Lets the greatest TTL fall to what sessions may still reach, after two looks, one greatest TTL apart, have found nobody above.
-- A consumer whose own TTL is the greatest need not look, and nobody looks in an idle service.
--
-- No process believes in more. One whose session is past or gone believes in nothing, since its account ends before the
-- server's, and after a change of server nobody has an older account once the partition has settled. Every other one is found
-- here with its reach, on record since the script that opened its session; an open session without a record is of an older
-- version, or adopted, and then nothing falls. There are two looks so that a restart of the slowest consumer does not count.
local function age(sessions, book)
  if book.seen_at and book.seen_at <= now and now - book.seen_at < book.ttl then
    return
  end
  local reaches, found = {}, 0
  each_record(sessions, function(_, _, reach, consumer)
    reaches[consumer] = math.max(reach, reaches[consumer] or 0)
  end)
  local open = redis.call('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', now), '+inf')
  for i = 1, #open do
    found = math.max(found, reaches[open[i]] or book.ttl)
  end
  local ttl = math.min(book.ttl, math.max(found, book.seen or book.ttl))
  replace(sessions, book.seens, string.format('!seen:%.0f', found), -now)
  if ttl < book.ttl then
    local firm, at = math.min(relied(book), ttl), math.max(book.firm_at, now + book.ttl)
    redis.call('ZADD', sessions, -ttl, '!ttl')
    book.ttl = ttl
    note_firm(sessions, book, firm, ttl, at)
  end
end

-- A beat of consumer me: records a change of server, bridges a gap, extends me. ttls is "<usual>:<reach>", as in record.lua.
-- Returns a status ('ok'; 'made': it was absent and was made again; 'lost': past its deadline or closed), the server's id,
-- whether it is settling, the TTL that a session may rely on (put_on_record), and whether longer TTLs than this one may have
-- been asked for; or nil and an error.
--
-- A deadline never becomes earlier: this may be a late call from before the TTL was lengthened, and its sender believes the TTL
-- that was answered. Nor is it kept beyond the greatest TTL: a clock that was set back would keep the dead alive.
local function touch(sessions, me, ttl, ttls, threshold, mode, fresh)
  keep_sessions(sessions)
  local run = server_id(mode)
  if not run then
    return nil, redis.error_reply(NO_SERVER_ID)
  end
  local book = books(sessions)
  local reach = math.max(ttl, tonumber(string.match(ttls, '%d+$')))
  put_on_record(sessions, book, reach)
  local settling, changed = false, false
  if mode ~= 'off' then
    if #book.runs ~= 1 or book.run ~= run then
      changed = true
      -- The open that made the group has nobody to wait for.
      book.since = (fresh and #book.runs == 0) and 1 or now
      for _, member in ipairs(book.runs) do -- one by one: somebody may have written thousands by hand
        redis.call('ZREM', sessions, member)
      end
      redis.call('ZADD', sessions, -book.since, '!run:' .. run)
      revive_all(sessions, now + book.ttl)
    elseif book.since > now then
      -- The clock was set back: settle for one TTL from here, not until it has caught up.
      book.since = now
      redis.call('ZADD', sessions, -now, '!run:' .. run)
    end
    settling = now < book.since + book.ttl
  end
  if book.beat and book.beat > now then
    cap_all(sessions, now + book.ttl)
  elseif book.beat and not changed and now - book.beat > threshold then
    bridge(sessions, book.beat, now - book.beat)
  end
  local deadline = redis.call('ZSCORE', sessions, me)
  local status = 'ok'
  if not deadline then
    status = 'made'
  elseif tonumber(deadline) <= now then
    redis.call('ZADD', sessions, -now, '!beat')
    return 'lost', run, settling, relied(book)
  end
  local extended = now + ttl
  if deadline then
    extended = math.max(extended, math.min(math.floor(tonumber(deadline)), now + book.ttl))
  end
  -- One command for all three, which every beat pays for.
  local record = record_of(me, ttls)
  local added = redis.call('ZADD', sessions, -now, '!beat', extended, me, '-inf', record)
  if added > (book.beat and 0 or 1) + (deadline and 0 or 1) then
    keep_one_record(sessions, me, record)
  end
  if reach < book.ttl and mode ~= 'off' and not settling then
    age(sessions, book)
  end
  return status, run, settling, relied(book), ttl < book.ttl
end

local function count_dead(sessions)
  return redis.call('ZCOUNT', sessions, '0', now)
end
