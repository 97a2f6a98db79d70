-- Puts schedules of a partition: makes them, edits them, or leaves them as they are.
--
-- KEYS     1 input stream  2 schedules  3 signals
-- ARGV     for each: name, its times, the rest of its definition, its announcement
-- Returns  for each { verdict, why }: c made and announced; e edited; r as it was, and announced again since it was a dead
--          letter; u as it was; f refused, and nothing was changed for it
-- Atomic   so that no schedule is without an announcement, or edited without its owner hearing of it; and so that of two calls with
--          different specs for one name the later one counts as a whole.
-- Parts    clock reply master
-- Shared   row tell
--
-- A row is written before the announcement, and taken back if that is refused. What a call that was not answered has done, a repetition
-- finds, and leaves as it is. Signals come first: an edit that the owner never heard of would not be repeated by the next put, which
-- finds nothing to change. A row that cannot be read is made again: its owner sees another birth, and ends.

local input, schedules, signals = KEYS[1], KEYS[2], KEYS[3]

local plan, owners = {}, {}
for i = 1, #ARGV, 4 do
  local name, times, rest = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local text = on_key('HGET', schedules, name)
  local old = text and parse_row(text)
  local step = { verdict = 'c', name = name, announcement = ARGV[i + 3], text = text, told = text }
  if not old then
    step.row = row_text(micros, { born = now, since = now, trigger = 0, note = '' }, times, rest)
    step.announces = true
  elseif old.times == times and old.rest == rest and not old.dead then
    step.verdict, step.told = 'u', false
  else
    step.verdict = old.times == times and old.rest == rest and 'r' or 'e'
    step.told = step.verdict == 'e'
    step.announces = old.dead
    old.dead = false
    if old.times ~= times then
      old.since = now
    end
    step.row = row_text(next_rev(old), old, times, rest)
  end
  plan[#plan + 1] = step
  if step.told then
    owners[#owners + 1] = name
  end
end

local untold = tell(signals, owners)

-- Returns an error, after which nothing was changed.
local function put(step)
  if step.told and untold then
    return untold
  end
  local err = refused(redis.pcall('HSET', schedules, step.name, step.row))
  if err then
    return err .. ' (trying HSET on ' .. schedules .. ')'
  end
  if not step.announces then
    return nil
  end
  err = refused(redis.pcall('XADD', input, '*', 'lbs-input', step.announcement))
  if not err then
    return nil
  end
  if step.text then
    redis.pcall('HSET', schedules, step.name, step.text)
  else
    redis.pcall('HDEL', schedules, step.name)
  end
  return err .. ' (trying XADD on ' .. input .. ')'
end

local answer, wrote = {}, false
for i, step in ipairs(plan) do
  local err = step.verdict ~= 'u' and put(step)
  wrote = wrote or step.verdict ~= 'u' and not err
  answer[i] = { err and 'f' or step.verdict, err or '' }
end
if not wrote then
  -- Deletes nothing, since no name is empty. A demoted server refuses it, as it would refuse to change a schedule.
  refuse_replica('HDEL', schedules, '')
end
return answer
