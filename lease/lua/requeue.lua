-- Gives a batch of entries up: back to the input stream, to later, or to the dead letters.
--
-- KEYS     1 input stream  2 sessions  3 later  4… lease keys, then the dead-letter stream if an entry may go there
-- ARGV     1 consumer  2 group  3 number of entries  4 limit of the dead-letter stream (0: none)
--          5 '1': trim it to the limit instead of refusing  6 delay of what it refuses, ms
--          7… per entry: its ID; the token it was held under ('*': any of ours, '': never held);
--             q, l or d; due time, ms (for l, 0: from the delay alone); delay, ms; retry count; crash count;
--             reason (for d); counts '' stay as they are
-- Returns  { a verdict an entry, { index, error, … } }: m moved; n not pending for me; o the stream is owned under
--          another token; g gone: the body was deleted; f the dead letters are full, put off; u more fields than can
--          be copied: send it to the dead letters; x refused, nothing changed
-- Atomic   the copy, the acknowledgement, the deletion and the freed lease are one step for everybody else.
-- Parts    clock session value entry

local FIRST, PER = 4, 8
local input, sessions, later = KEYS[1], KEYS[2], KEYS[3]
local me, group, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local to = {
  input = input,
  later = later,
  dead = KEYS[FIRST + count],
  limit = tonumber(ARGV[4]),
  trim = ARGV[5] == '1',
  full_delay = tonumber(ARGV[6]),
}

redis.call('PEXPIRE', sessions, SESSIONS_KEPT)

local function free(key, value, id)
  local holder = value and parse(value)
  if holder and holder.consumer == me and holder.entry == id then
    redis.call('DEL', key)
  end
end

local function dead_letter(fields, id, retries, crashes, reason, only)
  local letter = stamped(fields, retries, crashes, only)
  for name, value in pairs({ _reason = reason, _original_id = id, _last_owner = me, _dead_at = string.format('%.0f', now) }) do
    letter[#letter + 1] = name
    letter[#letter + 1] = value
  end
  return letter
end

local function requeue(key, id, token, op, at, delay, retries, crashes, reason)
  local value = lease_value(key)
  local holder = value and parse(value)
  if token ~= '*' and holder and holder.consumer == me and holder.entry == id and holder.token ~= token then
    return 'o'
  end
  if not is_pending(input, group, me, id) then
    free(key, value, id)
    return 'n'
  end
  local fields = body(input, id)
  if not fields then
    redis.call('XACK', input, group, id)
    free(key, value, id)
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
    copy = dead_letter(fields, id, retries, crashes, reason, only)
  elseif too_wide(fields) then
    return 'u'
  else
    copy = stamped(fields, retries, crashes)
  end
  local verdict, undo = put(to, id, copy, op, math.max(at, now + delay))
  remove(input, group, id, undo)
  free(key, value, id)
  return verdict
end

local verdicts, errors = {}, {}
for i = 1, count do
  local a = 6 + PER * (i - 1)
  local ok, verdict = pcall(requeue, KEYS[i + FIRST - 1], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3],
    tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5]), ARGV[a + 6], ARGV[a + 7], ARGV[a + 8])
  if not ok then
    errors[#errors + 1], errors[#errors + 2] = i, message(verdict)
    verdict = 'x'
  end
  verdicts[i] = verdict
end
return { table.concat(verdicts), errors }
