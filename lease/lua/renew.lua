-- Sends a beat, and extends a batch of leases that are still ours.
--
-- KEYS     1 sessions  2 later  3 token  4… lease keys, then, if there are checkpoints, those of other leases that have some, and
--          checkpoints; then the keys of the balance, if it is reported; then signals, if they are looked for
-- ARGV     1 consumer  2 session TTL, ms  3 its TTLs on record, "<usual>:<reach>"  4 gap threshold, ms  5 settle mode
--          6 token floor  7 lease TTL, ms  8 the value of each lease, "<consumer> <token> <entry>", one a line
--          9 position in signals ('': none yet)
--          10, 11 report and group, as report_balance takes them
--          12… the checkpoints, if there are some, as save_along takes them
-- Returns  { status, sessions past their deadline, entries due, server id, settling, the TTL to rely on, ms,
--            ms until the next entry is due, the server's time, signals and balance, as beat,
--            a verdict a lease: k kept, l lost, m missing (only while settling),
--            { index of a lease from 1, the entry that waits for it, … }; and if there are checkpoints, as save_along returns }
--          status lost: no verdicts, nothing extended
-- Atomic   so that no lease is extended for a session that ended.
-- Parts    clock record session token value later along signallook balance

local FIRST = 4
local sessions, later, token = KEYS[1], KEYS[2], KEYS[3]
local me = ARGV[1]
local status, run, settling, firm, stretched = touch(sessions, me, tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5])
if not status then
  return run
end
local due, soon = look_ahead(later)
local answer = { status, count_dead(sessions), due, run, settling and 1 or 0, firm, soon, micros, look_for_signals(ARGV[9]), '' }
if status == 'lost' then
  return answer
end
answer[10] = report_balance(sessions, me, ARGV[10], ARGV[11])
raise_token(token, tonumber(ARGV[6]))

-- Globals are looked up by name each time, so the loops use locals.
local call, keys, args = redis.call, KEYS, ARGV
local ttl, expected = args[7], args[8]
local last = args[12] and FIRST - 1 + tonumber(args[12]) or #keys
local values = last < FIRST and {} or call('MGET', unpack(keys, FIRST, last))

-- The common case, that all are as expected, is found with one comparison. (Concat fails if a value is missing.)
local whole, all = pcall(table.concat, values, '\n')
-- A time instead of a TTL saves the server a fifth of the work: it need not convert it for its replicas.
if whole and all == expected and not stretched then
  local deadline = string.format('%.0f', now + tonumber(ttl))
  for i = FIRST, last do
    call('PEXPIREAT', keys[i], deadline)
  end
  answer[11], answer[12] = string.rep('k', #values), {}
  return args[12] and save_along(answer, FIRST, 12) or answer
end

local verdicts, waiting, absent = {}, {}, settling and 'm' or 'l'
for want in string.gmatch(expected, '[^\n]+') do
  local i = #verdicts + 1
  local key, value = keys[FIRST + i - 1], values[i]
  if not value then
    verdicts[i] = absent
  elseif names(value, want) then
    prolong(key, ttl)
    verdicts[i] = 'k'
    local waits = #value > #want and waiting_in(string.sub(value, #want + 1))
    if waits then
      waiting[#waiting + 1] = i
      waiting[#waiting + 1] = waits
    end
  else
    verdicts[i] = 'l'
  end
end
answer[11], answer[12] = table.concat(verdicts), waiting
return args[12] and save_along(answer, FIRST, 12, verdicts) or answer
