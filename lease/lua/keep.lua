-- Makes entries pending for their owner again that somebody acknowledged by hand, or took away with their consumer.
--
-- KEYS     1 input stream  2 sessions  3… lease keys
-- ARGV     1 consumer  2 group  3 weight after which no more is read
--          4… per entry: its ID, and the token it is held under ('' for one that waits here)
-- Returns  { 'ok', a verdict an entry, { index, error, … } }, or { 'lost' }: my session is past its deadline or absent. Verdicts:
--            k  pending for me, and its body there    r  it was not pending for me, and is again
--            l  the lease is not mine under this token, or another consumer has an entry that was never held: changed nothing
--            w  not delivered (the group was made again): somebody will be given it
--            g  the body is gone: changed nothing     x  refused
--            t  not looked at, since what was read for those before it weighs enough for one call
-- Atomic   so that the lease is mine at the moment at which the entry becomes mine again.
-- Parts    clock record session value entry group
--
-- What this library acknowledges it deletes in the same step. An entry that is there, was delivered, and is pending for
-- nobody was acknowledged by somebody else. And who owns the stream has its announcement, whoever claimed that by hand.

local FIRST, HEAD = 3, 3
-- The delivery counts that tell an entry which was owned from one which was only read.
local HELD, READ = '2', '1'

local input, sessions = KEYS[1], KEYS[2]
local me, group, budget = ARGV[1], ARGV[2], tonumber(ARGV[3])

redis.call('PEXPIRE', sessions, SESSIONS_KEPT)
local deadline = redis.call('ZSCORE', sessions, me)
if not deadline or tonumber(deadline) <= now then
  return { 'lost' }
end

local delivered
local function was_delivered(id)
  delivered = delivered or last_delivered(input, group)
  return not after(id, delivered)
end

-- body, counted.
local read = 0
local function has_body(id)
  local fields = body(input, id)
  read = read + (fields and weigh(fields) or 0)
  return fields
end

local function keep(key, id, token)
  if token ~= '' then
    local value = lease_value(key)
    if not value or not names(value, me .. ' ' .. token .. ' ' .. id) then
      return 'l'
    end
  end
  local pending = redis.call('XPENDING', input, group, id, id, '1')[1]
  if pending and pending[2] ~= me and token == '' then
    return 'l'
  end
  -- From Redis 7 on XCLAIM makes nothing pending that has no body, so of what was taken away with a consumer nothing is read.
  local fresh = not pending and not was_delivered(id)
  if (pending or fresh or not redis.REDIS_VERSION_NUM) and not has_body(id) then
    return 'g'
  end
  if pending and pending[2] == me then
    return 'k'
  end
  if fresh then
    return 'w'
  end
  local claimed = redis.call('XCLAIM', input, group, me, '0', id, 'IDLE', '0',
    'RETRYCOUNT', token == '' and READ or HELD, 'FORCE', 'JUSTID')
  return claimed[1] == id and 'r' or 'g'
end

local verdicts, errors = {}, {}
for i = 1, #KEYS - FIRST + 1 do
  local ok, verdict = true, 't'
  if read < budget then
    ok, verdict = pcall(keep, KEYS[i + FIRST - 1], ARGV[HEAD - 1 + 2 * i], ARGV[HEAD + 2 * i])
  end
  if not ok then
    errors[#errors + 1], errors[#errors + 2] = i, message(verdict)
    verdict = 'x'
  end
  verdicts[i] = verdict
end
return { 'ok', table.concat(verdicts), errors }
