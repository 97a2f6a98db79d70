-- Shared: giving up one entry that is pending for a consumer. Needs clock.lua, value.lua and entry.lua. The verdicts are
-- those of requeue.lua.

-- Frees a lease that names this consumer and this entry.
local function free(me, key, value, id)
  local holder = value and parse(value)
  if holder and holder.consumer == me and holder.entry == id then
    redis.call('DEL', key)
  end
end

local function dead_letter(me, fields, id, retries, crashes, reason, only)
  local letter = stamped(fields, retries, crashes, only)
  for name, value in pairs({ _reason = reason, _original_id = id, _last_owner = me, _dead_at = string.format('%.0f', now) }) do
    letter[#letter + 1] = name
    letter[#letter + 1] = value
  end
  return letter
end

-- token is the one that the entry was held under, '*' for any of this consumer, '' for none. op, at, delay, the counts
-- and the reason are as requeue.lua takes them.
local function requeue(input, group, me, to, key, id, token, op, at, delay, retries, crashes, reason)
  local value = lease_value(key)
  local holder = value and parse(value)
  if token ~= '*' and holder and holder.consumer == me and holder.entry == id and holder.token ~= token then
    return 'o'
  end
  if not is_pending(input, group, me, id) then
    free(me, key, value, id)
    return 'n'
  end
  local fields = body(input, id)
  if not fields then
    redis.call('XACK', input, group, id)
    free(me, key, value, id)
    return 'g'
  end
  if retries == '' then
    retries = field(fields, '_retry_count') or '0'
  end
  if crashes == '' then
    crashes = field(fields, '_crash_count') or '0'
  end
  retries, crashes = tonumber(retries) or 0, tonumber(crashes) or 0
  local copy
  if op == 'd' then
    local only = too_wide(fields) and KNOWN or nil
    copy = dead_letter(me, fields, id, retries, crashes, reason, only)
  elseif too_wide(fields) then
    return 'u'
  else
    copy = stamped(fields, retries, crashes)
  end
  local verdict, undo = put(to, id, copy, op, math.max(at, now + delay))
  remove(input, group, id, undo)
  free(me, key, value, id)
  return verdict
end

-- Gives up a batch whose items start in ARGV after first_arg, with their lease keys in KEYS from first_key on.
local REQUEUE_ARGS = 8
local function requeue_batch(input, group, me, to, count, first_key, first_arg)
  local verdicts, errors = {}, {}
  for i = 1, count do
    local a = first_arg + REQUEUE_ARGS * (i - 1)
    local ok, verdict = pcall(requeue, input, group, me, to, KEYS[first_key + i - 1], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3],
      tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5]), ARGV[a + 6], ARGV[a + 7], ARGV[a + 8])
    if not ok then
      errors[#errors + 1], errors[#errors + 2] = i, message(verdict)
      verdict = 'x'
    end
    verdicts[i] = verdict
  end
  return { table.concat(verdicts), errors }
end
