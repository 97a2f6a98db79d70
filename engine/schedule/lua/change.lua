-- Pauses or resumes schedules of a partition, or asks for a tick of each.
--
-- KEYS     1 schedules  2 signals
-- ARGV     1 pause, resume or trigger  2 the note of a pause  3… names
-- Returns  for each name: a there is no such schedule; x its row cannot be read; u it is as asked for; d done
-- Atomic   so that no change is lost between reading a row and writing it, and none is made without the owner hearing of it.
-- Parts    clock reply
-- Shared   row tell
--
-- A repetition of pause and resume finds nothing to do; one of trigger asks for another tick.

local schedules, signals, what, note = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

-- Changes what is asked for. Returns false if it is so already.
local function change(row)
  if what == 'trigger' then
    row.trigger = math.max(row.trigger + 1, micros)
    return true
  end
  if what == 'pause' then
    if row.paused and row.note == note then
      return false
    end
    row.paused, row.note = true, note
    return true
  end
  if not row.paused then
    return false
  end
  row.paused, row.note, row.since = false, '', now
  return true
end

-- Deletes nothing, since no name is empty. After a write that maxmemory does not refuse, what follows passes as well: rows hardly grow.
on_key('HDEL', schedules, '')
local answer, names, rows = {}, {}, {}
for i = 3, #ARGV do
  local name, verdict = ARGV[i], 'a'
  local text = on_key('HGET', schedules, name)
  local row = text and parse_row(text)
  if row and change(row) then
    names[#names + 1], rows[#rows + 1] = name, row_text(next_rev(row), row, row.times, row.rest)
    verdict = 'd'
  elseif text then
    verdict = row and 'u' or 'x'
  end
  answer[#answer + 1] = verdict
end
local untold = tell(signals, names)
if untold then
  return redis.error_reply(untold)
end
for i, name in ipairs(names) do
  on_key('HSET', schedules, name, rows[i])
end
return answer
