-- Shared: the session set of a partition. Needs clock.lua.
--
-- Members with a positive score are consumers, the score is their deadline (ms of this server's clock); 0 is a closed
-- session. Members with a negative score keep the books:
--   !beat       -(time of the last beat of anybody)
--   !ttl        -(greatest session TTL seen, ms)
--   !run:<id>   -(when this server was first seen under this id, ms): it settles until that time + the greatest TTL
--
-- mode says how a server is told from its successor: 'info' (run_id, else CLUSTER MYID), or 'off' (never settle).

-- A set that nobody has touched for 30 days belongs to a service that is gone.
local SESSIONS_KEPT = 2592000000

local function server_id(mode)
  if mode == 'off' then
    return ''
  end
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'string' then
    local id = string.match(info, 'run_id:(%w+)')
    if id then
      return id
    end
  end
  local id = redis.pcall('CLUSTER', 'MYID')
  if type(id) == 'string' then
    return id
  end
  return nil
end

local NO_SERVER_ID = 'NOSERVERID neither INFO nor CLUSTER MYID may be called: grant +info, or turn settling off'

local function books(sessions)
  local book = { ttl = 0, runs = {} }
  local flat = redis.call('ZRANGEBYSCORE', sessions, '-inf', '(0', 'WITHSCORES')
  for i = 1, #flat, 2 do
    local member, value = flat[i], -tonumber(flat[i + 1])
    if member == '!beat' then
      book.beat = value
    elseif member == '!ttl' then
      book.ttl = value
    elseif string.sub(member, 1, 5) == '!run:' then
      book.runs[#book.runs + 1] = member
      book.run, book.since = string.sub(member, 6), value
    end
  end
  return book
end

-- Whether nothing free may be taken now; reads only. The second result is an error.
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

-- Gives every session that is open a fresh deadline (0 stays 0, the books stay negative). A fraction, which marks an
-- adopted one, stays.
local function revive_all(sessions, deadline)
  local flat = redis.call('ZRANGEBYSCORE', sessions, '(0', '+inf', 'WITHSCORES')
  for i = 1, #flat, 2 do
    redis.call('ZADD', sessions, deadline + flat[i + 1] % 1, flat[i])
  end
end

-- After a gap in everybody's beats: who was alive at the last one gets the gap added, so that nobody looks dead to
-- the first one back.
local function bridge(sessions, last, gap)
  local flat = redis.call('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', last), '+inf')
  for i = 1, #flat do
    redis.call('ZADD', sessions, 'XX', 'INCR', gap, flat[i])
  end
end

-- A beat of consumer me: notes a change of server, bridges a gap, extends me.
-- Returns status ('ok'; 'made': it was absent and stands again; 'lost': past its deadline or closed), the server's
-- id, whether it is settling, and whether longer TTLs than this one may have been asked for; or nil and an error.
--
-- A deadline is never brought forward: this may be a call from before the TTL was lengthened that comes late, and who sent
-- it believes the one that was answered. It is not kept beyond the greatest TTL: a clock that went back would keep the dead alive.
-- PEXPIRE comes first: maxmemory does not refuse it, and lets what follows in this script pass.
local function touch(sessions, me, ttl, threshold, mode, fresh)
  redis.call('PEXPIRE', sessions, SESSIONS_KEPT)
  local run = server_id(mode)
  if not run then
    return nil, redis.error_reply(NO_SERVER_ID)
  end
  local book = books(sessions)
  if ttl > book.ttl then
    book.ttl = ttl
    redis.call('ZADD', sessions, -ttl, '!ttl')
  end
  local settling, changed = false, false
  if mode ~= 'off' then
    if #book.runs ~= 1 or book.run ~= run then
      changed = true
      -- The open that made the group has nobody before it to wait for.
      book.since = (fresh and #book.runs == 0) and 1 or now
      for _, member in ipairs(book.runs) do -- one by one: who wrote them by hand may have written thousands
        redis.call('ZREM', sessions, member)
      end
      redis.call('ZADD', sessions, -book.since, '!run:' .. run)
      revive_all(sessions, now + book.ttl)
    elseif book.since > now then
      -- The clock went back: settle for one TTL from here, not until it has caught up.
      book.since = now
      redis.call('ZADD', sessions, -now, '!run:' .. run)
    end
    settling = now < book.since + book.ttl
  end
  if book.beat and not changed and now - book.beat > threshold then
    bridge(sessions, book.beat, now - book.beat)
  end
  redis.call('ZADD', sessions, -now, '!beat')
  local deadline = redis.call('ZSCORE', sessions, me)
  local status = 'ok'
  if not deadline then
    status = 'made'
  elseif tonumber(deadline) <= now then
    return 'lost', run, settling
  end
  local extended = now + ttl
  if deadline then
    extended = math.max(extended, math.min(math.floor(tonumber(deadline)), now + book.ttl))
  end
  redis.call('ZADD', sessions, extended, me)
  return status, run, settling, ttl < book.ttl
end

local function count_dead(sessions)
  return redis.call('ZCOUNT', sessions, 0, now)
end
