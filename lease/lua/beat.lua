-- Extends a session if there is no renewal to carry the beat.
--
-- KEYS     1 sessions  2 later, omitted while a slot migrates  3… keys of the balance, if it is reported; then signals, if they are
--          looked for
-- ARGV     1 consumer  2 session TTL, ms  3 its TTLs on record, "<usual>:<reach>"  4 gap threshold, ms  5 settle mode
--          6 position in signals ('': none yet)  7, 8 report and group, as report_balance takes them
-- Returns  { status, sessions past their deadline, entries due (-1: not counted), server id, settling,
--            the TTL to rely on, ms, ms until the next entry is due if none is (0: not soon, or not counted),
--            this server's time, µs since the epoch,
--            the first signal after the position, '' if there is none, "@<position>" if none was given, or "!<error>",
--            what report_balance returns }
-- Atomic   so that nobody is found dead between the check of the deadline and its extension.
-- Parts    clock record session later signallook balance

local sessions, later = KEYS[1], KEYS[2]
local status, run, settling, firm = touch(sessions, ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5])
if not status then
  return run
end
local due, soon = -1, 0
if later then
  due, soon = look_ahead(later)
end
local signal = look_for_signals(ARGV[6])
local balance = status ~= 'lost' and ARGV[7] and report_balance(sessions, ARGV[1], ARGV[7], ARGV[8]) or ''
return { status, count_dead(sessions), due, run, settling and 1 or 0, firm, soon, micros, signal, balance }
