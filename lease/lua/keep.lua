-- Makes entries pending for their owner again that somebody acknowledged by hand, or removed with their consumer.
--
-- KEYS     1 input stream  2 sessions  3… lease keys
-- ARGV     1 consumer  2 group  3 weight after which no more is read
--          4… per entry: its ID, and the token it is held under ('' for one that waits in this process)
-- Returns  { 'ok', a verdict an entry, { index, error, … } }, or { 'lost' }: my session is past its deadline or absent. Verdicts:
--            k  pending for me, with a body           r  it was not pending for me, and is again
--            l  the lease is not mine under this token, or another consumer has an entry that was never held: nothing changed
--            w  not delivered (the group was made again): somebody will get it
--            g  the body is gone: nothing changed     x  refused
--            t  not processed, since the bodies read for those before it weigh enough for one call
-- Atomic   so that the lease is mine at the moment when the entry becomes mine again.
-- Parts    deadline value entry group
--
-- This library deletes what it acknowledges in the same step. So an entry that exists, was delivered, and is pending for nobody
-- was acknowledged by somebody else. And the owner of the stream keeps its announcement, whoever claimed that by hand.

local FIRST, HEAD = 3, 3

local input, sessions = KEYS[1], KEYS[2]
local me, group = ARGV[1], ARGV[2]
local to = { budget = tonumber(ARGV[3]) }

keep_sessions(sessions)
if not is_alive(sessions, me) then
  return { 'lost' }
end

local delivered
local function was_delivered(id)
  delivered = delivered or last_delivered(input, group)
  return not after(id, delivered)
end

-- body, with its weight counted.
local function has_body(id)
  local fields = body(input, id)
  to.moved = to.moved + (fields and weigh(fields) or 0)
  return fields
end

local function keep(key, id, token)
  if token ~= '' then
    local value = lease_value(key)
    if not value or not names(value, me .. ' ' .. token .. ' ' .. id) then
      return 'l'
    end
  end
  local pending = find_pending(input, group, id)
  if pending and pending[2] ~= me and token == '' then
    return 'l'
  end
  -- From Redis 7 on XCLAIM does not make an entry without a body pending, so entries removed with a consumer need not be read.
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

return { 'ok', in_turn(to, #KEYS - FIRST + 1, function(i)
  return keep(KEYS[i + FIRST - 1], ARGV[HEAD - 1 + 2 * i], ARGV[HEAD + 2 * i])
end) }
