-- Announces a schedule again that has no announcement any more, such as after a failover that forgot it.
--
-- KEYS     1 input stream  2 schedules  3 lease
-- ARGV     1 group  2 name  3 the birth of what was looked at  4 its announcement
-- Returns  a announced; g the schedule is gone, or another one; o it is owned; w there are announcements that nobody has read yet, and
--          its own may be among them
-- Atomic   so that nobody acquires, deletes or puts it between the look and the announcement.
-- Parts    clock reply group value
-- Shared   row
--
-- A repetition after a lost answer finds the announcement unread, or an owner, unless that has been read and not been acquired yet: then
-- there is one too many, which does no harm.

local input, schedules, lease = KEYS[1], KEYS[2], KEYS[3]
if lease_value(lease) then
  return 'o'
end
local text = on_key('HGET', schedules, ARGV[2])
local row = text and parse_row(text)
if not row or row.born ~= tonumber(ARGV[3]) then
  return 'g'
end
local found = find_group(input, ARGV[1])
if not found or #on_key('XRANGE', input, '(' .. found['last-delivered-id'], '+', 'COUNT', '1') > 0 then
  return 'w'
end
on_key('XADD', input, '*', 'lbs-input', ARGV[4])
return 'a'
