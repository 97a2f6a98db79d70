-- Notes of schedules of a partition whether their announcements are dead letters.
--
-- KEYS     1 schedules
-- ARGV     1 '1': they are; '0': they are not  2… name, and the birth of what was looked at, in turn
-- Returns  how many were changed
-- Atomic   so that no change is lost between reading a row and writing it, and none of another incarnation is marked.
-- Parts    clock reply
-- Shared   row
--
-- There is no signal: dead letters have no owner, and to owners nothing has changed. A repetition finds nothing to do.

local schedules, dead = KEYS[1], ARGV[1] == '1'
on_key('HDEL', schedules, '')
local n = 0
for i = 2, #ARGV, 2 do
  local text = on_key('HGET', schedules, ARGV[i])
  local row = text and parse_row(text)
  if row and row.dead ~= dead and row.born == tonumber(ARGV[i + 1]) then
    row.dead = dead
    on_key('HSET', schedules, ARGV[i], row_text(next_rev(row), row, row.times, row.rest))
    n = n + 1
  end
end
return n
