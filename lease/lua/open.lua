-- Creates the group, the consumer and its session, or keeps them: the call may be repeated.
--
-- KEYS     1 input stream  2 sessions  3 token  4 later  5 the lease of the empty name (never exists)
--          6… {S}:crashed:<consumer ID>, if crashes are asked for; then keys of the balance, if it is reported
-- ARGV     1 consumer  2 session TTL, ms  3 its TTLs on record, "<usual>:<reach>"  4 gap threshold, ms  5 settle mode
--          6 token floor  7 group  8, 9 report and group, as report_balance takes them
-- Returns  as beat, with the position in signals to begin with; and behind the items of report_balance, crashes, if they are asked for and it
--          has reported
-- Atomic   so that only the open which makes the group may skip settling.
-- Parts    deadline session token reply later signallook balance

local input, sessions, token, later, lease = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local me, ttl, ttls, threshold, mode = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5]
local floor, group = tonumber(ARGV[6]), ARGV[7]
local crashed = KEYS[6]

-- As keep_sessions, with an error that names the command.
local kept = redis.pcall('PEXPIRE', sessions, SESSIONS_KEPT)
if refused(kept) then
  return trying(kept.err, 'PEXPIRE on ' .. sessions)
end

-- Starts the group at 0, so that nothing announced before the first consumer is lost. Only a group that nobody can have worked
-- with before has nobody to wait for; a caller that knows a token has worked with it.
local fresh = floor == 0
local made = redis.pcall('XGROUP', 'CREATE', input, group, '0', 'MKSTREAM')
if refused(made) then
  if not string.find(made.err, 'BUSYGROUP', 1, true) then
    return trying(made.err, 'XGROUP CREATE on ' .. input)
  end
  fresh = false
end

-- The commands that the other scripts will call, without effect except that the consumer is made: a missing right or a key of
-- another type shows now, not when an entry is half moved.
local probes = {
  { 'XPENDING', input, group, '-', '+', 1 },
  { 'XRANGE', input, '0-0', '0-0' },
  { 'XACK', input, group, '0-0' },
  { 'XDEL', input, '0-0' },
  { 'XCLAIM', input, group, me, 0, '0-0', 'JUSTID' },
  -- A read of my history after the end of all IDs. (The greatest possible ID would be taken for ">".)
  { 'XREADGROUP', 'GROUP', group, me, 'STREAMS', input, '18446744073709551614-0', key = input },
  { 'ZSCORE', sessions, me },
  { 'ZRANGEBYSCORE', sessions, 1, 0 },
  { 'ZRANGEBYSCORE', later, 1, 0 },
  { 'ZADD', later, 'XX', 0, '-' },
  { 'ZREM', later, '-' },
  { 'ZCOUNT', later, 1, 0 },
  { 'SET', lease, '', 'XX', 'PX', 1 },
  { 'MGET', lease },
  { 'GET', lease },
  { 'PTTL', lease },
  { 'PEXPIRE', lease, 1 },
  { 'PEXPIREAT', lease, 1 },
  { 'DEL', lease },
  { 'GET', token },
  { 'XLEN', input },
  { 'XINFO', 'GROUPS', input, name = 'XINFO GROUPS', key = input },
  { 'XGROUP', 'CREATECONSUMER', input, group, me, name = 'XGROUP CREATECONSUMER', key = input },
  { 'XGROUP', 'DELCONSUMER', input, group, '-', name = 'XGROUP DELCONSUMER', key = input },
}
for _, probe in ipairs(probes) do
  local reply = redis.pcall(unpack(probe))
  if refused(reply) then
    return trying(reply.err, (probe.name or probe[1]) .. ' on ' .. (probe.key or probe[2]))
  end
end
local add = redis.pcall('XADD', input, '0-0', 'f', 'v')
if refused(add) and not string.find(add.err, 'must be greater than 0-0', 1, true) then
  return trying(add.err, 'XADD on ' .. input)
end

local status, run, settling, firm = touch(sessions, me, ttl, ttls, threshold, mode, fresh)
if not status then
  return run
end
raise_token(token, floor)
local due, soon = look_ahead(later)
local balance = status ~= 'lost' and report_balance(sessions, me, ARGV[8], ARGV[9]) or ''
if crashed and type(balance) == 'table' then
  local known = redis.pcall('GET', crashed)
  balance[5] = not refused(known) and string.match(known or '', '^%d%d?$') or '0'
end
return { status, count_dead(sessions), due, run, settling and 1 or 0, firm, soon, micros, '@' .. position_now(), balance }
