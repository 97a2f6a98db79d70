-- Acquires the leases of a batch of entries that were read.
--
-- KEYS     1 input stream  2 sessions  3 token  4 checkpoints  5… lease keys, then the keys of the balance, if it is reported, then
--          signals, if any are to be added
-- ARGV     1 consumer  2 group  3 settle mode  4 lease TTL, ms  5, 6 report and group, as report_balance
--          takes them  7… per entry: its ID, and _not_before in ms (0: none)
-- Returns  { 'ok', a verdict an entry, the token of the first one acquired, { index, a, b, … }, the checkpoints of those
--          acquired as hand_over returns them, why signals were refused, what report_balance returns }, or { 'lost' }: my
--          session is past its deadline; { 'absent' }: there is none, beat first; { 'wait' }: settling. Tokens of acquired
--          entries are consecutive. Verdicts, of which those with an a have an index from 1, a and b in the list:
--            a  acquired                                 h  held: a = remaining TTL, ms (-1: it has none),
--            e  too early: a = ms to go                       b = "<consumer> <token>" of the holder, and
--                                                          " =" if it is under this very entry
--            g  gone: the body was deleted; acknowledged n  not pending for me: somebody else has it
--            x  refused: a = why
-- Atomic   so that the entry is pending for me and its stream free at the moment when it becomes mine.
-- Parts    clock record session token value entry handover signal balance

local FIRST = 5

local input, sessions, token = KEYS[1], KEYS[2], KEYS[3]
local me, group, mode, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- The first write comes before the first read, so that a server that is full, or one that was demoted and has outdated data,
-- refuses the whole call. Unused tokens do no harm.
local count = #KEYS - FIRST + 1
local next_token = mint(token, count)
local first_token = token_text(next_token)

local deadline = redis.call('ZSCORE', sessions, me)
if not deadline then
  return { 'absent' }
end
if tonumber(deadline) <= now then
  return { 'lost' }
end
local settling, err = is_settling(sessions, mode)
if err then
  return err
end
if settling then
  return { 'wait' }
end

local function held(key, id)
  local value = redis.call('GET', key)
  local holder = value and parse(value)
  if not holder then
    return 'x', not_a_lease(key)
  end
  -- Its owner has it under this very entry: the group was made again, or the owner set the lease again on a server that had forgotten
  -- it. That entry waits for nobody, and the owner will have it pending again.
  local own = holder.entry == id
  if not own and (not holder.waiting or after(id, holder.waiting)) then
    redis.call('SET', key, with_tail(holder.consumer .. ' ' .. holder.token .. ' ' .. holder.entry, id, holder.shut), 'XX', 'KEEPTTL')
    if not holder.waiting then
      note_announced(key, holder.token)
    end
  end
  local left, longest = redis.call('PTTL', key), math.max(tonumber(ttl), greatest_ttl(sessions))
  if left > longest and tonumber(redis.call('ZSCORE', sessions, holder.consumer) or 0) <= now then
    -- It was set before the server's clock was set back, and its owner is not there to renew it or to be recovered. A consumer
    -- without a session here does not believe in one for longer than the greatest TTL.
    left = longest
    redis.call('PEXPIRE', key, string.format('%.0f', left))
  end
  return 'h', left, holder.consumer .. ' ' .. holder.token .. (own and ' =' or '')
end

-- The values, and what is pending for me from the first entry to the last, are read once for the whole batch. An entry that this
-- does not show is looked up by itself. A key of another type looks free here; SET NX finds it. Numbers are passed as strings,
-- since converting a Lua number costs as much as the rest of a call.
local values = count == 0 and {} or redis.call('MGET', unpack(KEYS, FIRST))
local first, last, most = ARGV[7], ARGV[5 + 2 * count], tostring(count)

local function by_id(page, at)
  local found = {}
  for i = 1, #page do
    found[page[i][1]] = page[i][at]
  end
  return found
end

local idle = count == 0 and {} or by_id(redis.pcall('XPENDING', input, group, first, last, most, me), 3)

-- From Redis 7 on (older servers do not show scripts their version) XCLAIM shows which entries have a body, and drops the others.
-- Before that they have to be read, whole; bodies is nil if they need not be.
local bodies
if not redis.REDIS_VERSION_NUM and count > 0 then
  bodies = by_id(redis.pcall('XRANGE', input, first, last, 'COUNT', most), 1)
end

local function is_there(id)
  return bodies and bodies[id] or #redis.call('XRANGE', input, id, id) > 0
end

-- How long ago an entry that is pending for me was delivered; else nil.
local function idle_of(id)
  local row = not idle[id] and is_pending(input, group, me, id)
  return idle[id] or row and row[3]
end

-- is_there for an entry that is pending for me. Claimed by its owner, with this idle time, it stays as it is. One that XCLAIM
-- leaves out is looked up.
local function has_body(id, ms)
  local kept = bodies and {} or redis.call('XCLAIM', input, group, me, '0', id, 'IDLE', string.format('%.0f', ms), 'JUSTID')
  return #kept > 0 or is_there(id)
end

local function drop(key, value, id)
  redis.call('XACK', input, group, id)
  local holder = held_by(value, me, id)
  if holder then
    redis.call('DEL', key)
    note_freed(key, holder)
  end
  return 'g'
end

-- The verdict on entry i; or BUSY: somebody has its stream; or nil: it is pending for me, and its stream is free or mine.
local BUSY = {}
local function judge(i, key, id, not_before)
  local ms = idle_of(id)
  if not ms then
    return 'n'
  end
  local early = not_before ~= '0' and (tonumber(not_before) or 0) - now or 0
  if (bodies or values[i] or early > 0) and not has_body(id, ms) then
    return drop(key, values[i], id)
  end
  if early > 0 then
    return 'e', early
  end
  if values[i] and not held_by(values[i], me, id) then
    -- An earlier entry of this batch may have freed it.
    values[i] = redis.call('GET', key)
    return values[i] and BUSY
  end
end

local tokens = {} -- of those acquired, as text
local function take(key, value, id)
  local text = token_text(next_token)
  local set
  if value then
    local longest = string.format('%.0f', math.max(tonumber(ttl), redis.call('PTTL', key))) -- as prolong does
    local waiting = parse(value).waiting
    set = redis.call('SET', key, me .. ' ' .. text .. ' ' .. id .. (waiting and ' ' .. waiting or ''), 'PX', longest)
    if waiting then
      note_announced(key, text) -- what was added under the earlier token means nothing to the owner of this one
    end
  else
    set = redis.call('SET', key, me .. ' ' .. text .. ' ' .. id, 'PX', ttl, 'NX')
  end
  if not set then
    -- Of another type, or acquired by an earlier entry of this batch.
    return held(key, id)
  end
  -- Only now, since the caller counts tokens from the first.
  next_token = next_token + 1
  tokens[#tokens + 1] = text
  return 'a'
end

local verdicts, more = {}, {}

local function note(i, ok, verdict, a, b)
  if not ok then
    verdict, a = 'x', message(verdict)
  end
  verdicts[i] = verdict
  if a then
    local n = #more
    more[n + 1], more[n + 2], more[n + 3] = i, a, b or ''
  end
end

-- Sets the delivery count of these entries of mine. Returns the IDs of those that have a body.
local function mark(ids, deliveries)
  if #ids == 0 then
    return {}
  end
  local n = #ids
  for i, word in ipairs({ 'IDLE', '0', 'RETRYCOUNT', deliveries, 'JUSTID' }) do
    ids[n + i] = word
  end
  return redis.call('XCLAIM', input, group, me, '0', unpack(ids))
end

-- The verdict on an entry that is pending for me and that XCLAIM left out, so its body is gone. That is checked before it is
-- acknowledged.
local function left_out(key, value, id)
  if is_there(id) then
    return 'x', 'XCLAIM on ' .. input .. ' left out ' .. id .. ', which is there and pending'
  end
  return drop(key, value, id)
end

local free, busy = {}, {}
for i = 1, count do
  local id = ARGV[5 + 2 * i]
  local ok, verdict, a = pcall(judge, i, KEYS[i + FIRST - 1], id, ARGV[6 + 2 * i])
  if not ok or verdict and verdict ~= BUSY then
    note(i, ok, verdict, a)
  elseif verdict then
    busy[i] = true
  else
    free[#free + 1] = id
  end
end
-- If this is refused, the call fails, and nothing is acquired.
local marked = mark(free, HELD)
local at, unmarked = 1, {}
for i = 1, count do
  local key, id = KEYS[i + FIRST - 1], ARGV[5 + 2 * i]
  if busy[i] then
    note(i, pcall(held, key, id))
  elseif not verdicts[i] and marked[at] ~= id then
    note(i, pcall(left_out, key, values[i], id))
  elseif not verdicts[i] then
    at = at + 1
    note(i, pcall(take, key, values[i], id))
    if verdicts[i] ~= 'a' and not values[i] then
      unmarked[#unmarked + 1] = id
    end
  end
end
mark(unmarked, READ)
local checkpoints = hand_over(KEYS[4], me, verdicts, FIRST, tokens)
local refusal = send_signals(input)
return { 'ok', table.concat(verdicts), first_token, more, checkpoints, refusal, report_balance(sessions, me, ARGV[5], ARGV[6]) }
