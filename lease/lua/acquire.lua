-- Takes the leases of a batch of entries that were read.
--
-- KEYS     1 input stream  2 sessions  3 token  4… lease keys
-- ARGV     1 consumer  2 group  3 settle mode  4 lease TTL, ms
--          5… per entry: its ID, and _not_before in ms (0: none)
-- Returns  { 'ok', a verdict an entry, the token of the first that was taken, { index, a, b, … } }, or { 'lost' }: my
--          session is past its deadline; { 'absent' }: it is not there, beat first; { 'wait' }: settling. The tokens of
--          those taken follow each other. Verdicts, of which those with an a have an index from 1, a and b in the list:
--            a  taken                                    h  held: a = remaining TTL, ms (-1: it has none),
--            e  too early: a = ms to go                       b = "<consumer> <token>" of the holder
--            g  gone: the body was deleted; acknowledged n  not pending for me: somebody else has it
--            x  refused: a = why
-- Atomic   so that an entry is pending for me and its stream free at the moment it becomes mine.
-- Parts    clock session token value entry

local FIRST = 4
-- The delivery count that tells an entry which was owned from one which was only read (that one has 1).
local HELD = '2'

local input, sessions, token = KEYS[1], KEYS[2], KEYS[3]
local me, group, mode, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- The first write comes before the first look: a server that is full, or one that was demoted and knows less than its
-- successor, refuses the whole call. Tokens that are not used are not missed.
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

local function held(key, value, id)
  local holder = parse(value)
  if not holder then
    return 'x', 'the value of ' .. key .. ' is not a lease: delete the key'
  end
  if not holder.waiting or after(id, holder.waiting) then
    redis.call('SET', key, holder.consumer .. ' ' .. holder.token .. ' ' .. holder.entry .. ' ' .. id, 'XX', 'KEEPTTL')
  end
  return 'h', redis.call('PTTL', key), holder.consumer .. ' ' .. holder.token
end

-- What most of a batch needs is asked once for all of it: the values, and what is pending for me, and what has a body,
-- from the first entry to the last. An entry that these do not show is asked for by itself. A key of another type shows
-- as free here; SET NX finds it. Numbers are given as strings, since turning a Lua number into one costs as much as the rest of a call.
local values = count == 0 and {} or redis.call('MGET', unpack(KEYS, FIRST))
local pending, bodies = {}, {}

local function note(ids, page)
  for _, row in ipairs(page) do
    ids[row[1]] = true
  end
end

if count > 0 then
  local first, last, most = ARGV[5], ARGV[3 + 2 * count], tostring(count)
  note(pending, redis.pcall('XPENDING', input, group, first, last, most, me))
  note(bodies, redis.pcall('XRANGE', input, first, last, 'COUNT', most))
end
local taken = {}

local function acquire(key, value, id, not_before)
  if not pending[id] and not is_pending(input, group, me, id) then
    return 'n'
  end
  local holder = value and parse(value)
  local mine = holder and holder.consumer == me and holder.entry == id
  if not bodies[id] and #redis.call('XRANGE', input, id, id) == 0 then
    redis.call('XACK', input, group, id)
    if mine then
      redis.call('DEL', key)
    end
    return 'g'
  end
  if not_before > now then
    return 'e', not_before - now
  end
  if value and not mine then
    -- An earlier entry of this batch may have changed it.
    value = redis.call('GET', key)
    if value then
      return held(key, value, id)
    end
  end
  local text = token_text(next_token)
  local set
  if mine then
    local longest = string.format('%.0f', math.max(tonumber(ttl), redis.call('PTTL', key))) -- as prolong does
    set = redis.call('SET', key, me .. ' ' .. text .. ' ' .. id, 'PX', longest)
  else
    set = redis.call('SET', key, me .. ' ' .. text .. ' ' .. id, 'PX', ttl, 'NX')
  end
  if not set then
    -- Of another type, or taken by an earlier entry of this very batch.
    return held(key, redis.call('GET', key), id)
  end
  -- Only now: the caller counts the tokens from the first.
  next_token = next_token + 1
  taken[#taken + 1] = id
  return 'a'
end

local verdicts, more = {}, {}
for i = 1, count do
  local ok, verdict, a, b = pcall(acquire, KEYS[i + FIRST - 1], values[i], ARGV[3 + 2 * i], tonumber(ARGV[4 + 2 * i]) or 0)
  if not ok then
    verdict, a = 'x', message(verdict)
  end
  verdicts[i] = verdict
  if a then
    local n = #more
    more[n + 1], more[n + 2], more[n + 3] = i, a, b or ''
  end
end
if #taken > 0 then
  -- Marks them as held. Refused, it fails the call: asked again, the leases are found to be mine.
  local last = #taken
  for i, word in ipairs({ 'IDLE', '0', 'RETRYCOUNT', HELD, 'JUSTID' }) do
    taken[last + i] = word
  end
  redis.call('XCLAIM', input, group, me, '0', unpack(taken))
end
return { 'ok', table.concat(verdicts), first_token, more }
