-- Requeues entries that somebody removed by hand: what is left of each goes where its owner wanted it.
--
-- KEYS     1 input stream  2 sessions  3 later  4… per entry two: the lease key, and the mark that it was moved;
--          then the dead-letter stream if an entry may go there, then checkpoints if there are some, then
--          signals, if any are to be added
-- ARGV     1 … 8 as in requeue.lua; then per entry the ten arguments there, and three: the announcement as this process
--          remembers it ('' if it must not be announced from memory), its retry count and its crash count; then
--          what is to become of checkpoints, as leavings takes it
-- Returns  { a verdict an entry, { index, error, … }, checkpoints as in requeue.lua }: m moved; c announced again from memory, since the body is gone, by this
--          call or an earlier one; n pending for another consumer; g the body is gone, and nothing was remembered; and b, f, r,
--          t, u, x and z as in requeue.lua
-- Atomic   so that the copy, the acknowledgement, the deletion and the freed lease are one step for everybody else.
-- Parts    deadline disposition leaving
--
-- The caller ensures that the entries were not moved before, by itself or by others after its session.

local FIRST, HEAD, EACH = 4, 8, 13
-- How long a moved entry stays marked, ms: far longer than anybody retries.
local MARKED = '3600000'
local input, sessions, later = KEYS[1], KEYS[2], KEYS[3]
local me, group, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local to = targets(input, later, KEYS[FIRST + 2 * count], 4, ARGV[7], ARGV[8])

keep_sessions(sessions)

local function number_of(text, otherwise)
  return tonumber(text ~= '' and text or otherwise or '0') or 0
end

-- Refers to an entry, once: the entry stays where it is, so a repeated call would find it as before.
local function refer_once(key, mark, holder, id, retries, crashes, reason, weight, fields)
  if redis.call('GET', mark) then
    return 'r'
  end
  local verdict = refer(input, group, me, to, key, holder, id, retries, crashes, reason, weight, cut_of(fields))
  redis.pcall('SET', mark, me, 'PX', MARKED)
  return verdict
end

local function restore(key, mark, id, op, at, delay, retries, crashes, reason, text, known_retries, known_crashes, save)
  local value = lease_value(key)
  local holder = held_by(value, me, id)
  local pending = find_pending(input, group, id)
  if pending and pending[2] ~= me then
    free(key, holder)
    return 'n'
  end
  save(key, value, id, pending)
  local fields = body(input, id)
  local verdict = 'm'
  if fields then
    known_retries, known_crashes = field(fields, '_retry_count'), field(fields, '_crash_count')
  elseif text ~= '' and redis.call('GET', mark) then
    return 'c' -- it was moved, and the answer was lost
  elseif text ~= '' then
    fields, verdict = { 'lbs-input', text }, 'c'
  else
    redis.call('XACK', input, group, id)
    free(key, holder)
    return 'g'
  end
  retries, crashes = number_of(retries, known_retries), number_of(crashes, known_crashes)
  local weight, too_much = weigh_copy(to, fields)
  if verdict == 'm' and op == 'r' then
    return refer_once(key, mark, holder, id, retries, crashes, reason, weight, fields)
  end
  if verdict == 'm' and too_much then
    return 'b', too_much .. ' ' .. cut_of(fields)
  end
  if op == 'r' then
    op = 'd' -- what is remembered can be copied
  end
  local copy, why_not = copy_for(op, fields, retries, crashes, me, id, reason)
  if not copy then
    return why_not
  end
  local moved, undo = put(to, id, copy, op, math.max(at, due_after(to, delay)))
  if text ~= '' then
    or_undo(undo, 'SET', mark, me, 'PX', MARKED)
  end
  remove(input, group, id, undo)
  free(key, holder)
  return moved == 'm' and verdict or moved
end

local wanted, notes = leavings(9 + EACH * count), {}

-- Nobody else can have got the stream where the lease is mine, or where it is free and the entry pending for me.
local function save_of(i, token)
  return function(key, value, id, pending)
    local holder = held_by(value, me, id)
    if holder and holder.token == token then
      leave(notes, i, KEYS[#KEYS], key, token, wanted[i], 'r', MINE)
    elseif pending and not value then
      leave(notes, i, KEYS[#KEYS], key, token, wanted[i], 'r', FREE)
    end
  end
end

local verdicts, details = in_turn(to, count, function(i)
  local a = HEAD + EACH * (i - 1)
  return restore(KEYS[FIRST + 2 * i - 2], KEYS[FIRST + 2 * i - 1], ARGV[a + 1], ARGV[a + 3], tonumber(ARGV[a + 4]),
    tonumber(ARGV[a + 5]), ARGV[a + 6], ARGV[a + 7], ARGV[a + 8], ARGV[a + 11], ARGV[a + 12], ARGV[a + 13],
    save_of(i, ARGV[a + 2]))
end)
send_signals(input)
return { verdicts, details, notes }
