-- Takes the leases of a batch of entries that were read.
--
-- KEYS     1 input stream  2 sessions  3 token  4… lease keys
-- ARGV     1 consumer  2 group  3 settle mode  4 lease TTL, ms
--          5… per entry: its ID, and _not_before in ms (0: none)
-- Returns  { 'ok', { verdict, a, b } an entry }, or { 'lost' }: my session is past its deadline; { 'absent' }: it is
--          not there, beat first; { 'wait' }: settling. Verdicts:
--            a  taken: a = token                         h  held: a = remaining TTL, ms (-1: it has none),
--            e  too early: a = ms to go                       b = "<consumer> <token>" of the holder
--            g  gone: the body was deleted; acknowledged n  not pending for me: somebody else has it
--            x  refused: a = why
-- Atomic   so that an entry is pending for me and its stream free at the moment it becomes mine.
-- Parts    clock session token value entry

local FIRST = 4
-- The delivery count that tells an entry which was owned from one which was only read (that one has 1).
local HELD = 2

local input, sessions, token = KEYS[1], KEYS[2], KEYS[3]
local me, group, mode, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- The first write comes before the first look: a server that is full, or one that was demoted and knows less than its
-- successor, refuses the whole call. Tokens that are not used are not missed.
local count = #KEYS - FIRST + 1
local next_token = mint(token, count)

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
    return { 'x', 'the value of ' .. key .. ' is not a lease: delete the key' }
  end
  if not holder.waiting or after(id, holder.waiting) then
    redis.call('SET', key, holder.consumer .. ' ' .. holder.token .. ' ' .. holder.entry .. ' ' .. id, 'KEEPTTL')
  end
  return { 'h', redis.call('PTTL', key), holder.consumer .. ' ' .. holder.token }
end

local function acquire(key, id, not_before)
  if not is_pending(input, group, me, id) then
    return { 'n' }
  end
  local value = redis.call('GET', key)
  local mine = false
  if value then
    local holder = parse(value)
    mine = holder and holder.consumer == me and holder.entry == id
  end
  if #redis.call('XRANGE', input, id, id) == 0 then
    redis.call('XACK', input, group, id)
    if mine then
      redis.call('DEL', key)
    end
    return { 'g' }
  end
  if not_before > now then
    return { 'e', not_before - now }
  end
  if value and not mine then
    return held(key, value, id)
  end
  local text = token_text(next_token)
  next_token = next_token + 1
  redis.call('SET', key, me .. ' ' .. text .. ' ' .. id, 'PX', ttl)
  redis.call('XCLAIM', input, group, me, 0, id, 'IDLE', 0, 'RETRYCOUNT', HELD, 'JUSTID')
  return { 'a', text }
end

local verdicts = {}
for i = 1, count do
  local ok, verdict = pcall(acquire, KEYS[i + FIRST - 1], ARGV[3 + 2 * i], tonumber(ARGV[4 + 2 * i]) or 0)
  verdicts[i] = ok and verdict or { 'x', message(verdict) }
end
return { 'ok', verdicts }
