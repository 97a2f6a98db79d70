-- Shared: rows of the table, as package record has them. Needs clock.

local GREATEST = 9007199254740992 -- 2^53: what a number of Lua and of record.MaxTime holds

-- The parts of a row; nil if it is none. What its times and the rest say is not looked at.
local function parse_row(text)
  local rev, born, since, flags, trigger, times, rest, note =
    string.match(text, '^(%d+) (%d+) (%d+) (%d+) (%d+) ([^\n]*)\n([^\n]*)\n(.*)$')
  if not rev then
    return nil
  end
  local row = { times = times, rest = rest, note = note }
  row.rev, row.born, row.since, row.trigger = tonumber(rev), tonumber(born), tonumber(since), tonumber(trigger)
  flags = tonumber(flags)
  if row.rev == 0 or row.born == 0 or row.since == 0 or math.max(row.rev, row.born, row.since, row.trigger, flags) > GREATEST then
    return nil
  end
  row.paused, row.dead = flags % 2 == 1, math.floor(flags / 2) % 2 == 1
  return row
end

-- The revision of a row that is changed now.
local function next_rev(row)
  return math.max(row.rev + 1, micros)
end

-- The text of a row.
local function row_text(rev, row, times, rest)
  local flags = (row.paused and 1 or 0) + (row.dead and 2 or 0)
  local head = string.format('%.0f %.0f %.0f %d %.0f ', rev, row.born, row.since, flags, row.trigger)
  return head .. times .. '\n' .. rest .. '\n' .. row.note
end
