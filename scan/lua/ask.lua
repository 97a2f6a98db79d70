-- Records what an operator wishes of a consumer, or of all, in the place of the earlier wish in that field; drops the wishes that have
-- ended; and has all processes look.
--
-- KEYS     1 wishes of the service; then the signals of partition 0, which may be left out
-- ARGV     1 field  2 kind  3 how long it lasts, ms  4 weight × 1,000  5 reason  6 most fields  7 the most that a wish can have left, ms
-- Returns  { 'ok', why the signal was refused or '' }; or { 'many', fields }: it is not recorded
-- Atomic   so that of two wishes in one field the later one stays, and no process looks before it is there.
-- Parts    clock checkpoint signal
--
-- A call that runs late, after its caller gave up, is as one that is made then: it replaces what was recorded meanwhile, and lasts from
-- then on. Asked again, it leaves the same.
--
-- Nothing depends on the signal: where it is refused, or is lost, processes look all the same, only later. It is of kind wish, and names
-- no stream. A value is "<kind> <end, ms> <weight × 1,000> <reason>", as wish.go reads it.

local wishes, field, most, most_left = KEYS[1], ARGV[1], tonumber(ARGV[6]), tonumber(ARGV[7])

on_key('HDEL', wishes, '-') -- first: a full server does not refuse it, and then lets the rest pass

local count = on_key('HLEN', wishes)
if count > most then
  return { 'many', count }
end

-- Reports whether a wish has ended, of whatever kind. One that has more left than anybody may ask for was recorded before the clock was
-- set back. What cannot be read stays: somebody wrote it by hand.
local function has_ended(value)
  local to = tonumber(string.match(value, '^%l+ (%d+) '))
  return to and (to <= now or to > now + most_left)
end

local ended, known = {}, false
local flat = on_key('HGETALL', wishes)
for i = 1, #flat, 2 do
  if flat[i] == field then
    known = true
  elseif has_ended(flat[i + 1]) then
    ended[#ended + 1] = flat[i]
  end
end
for i = 1, #ended, 1000 do -- unpack takes 8,000
  on_key('HDEL', wishes, unpack(ended, i, math.min(i + 999, #ended)))
end
if not known and count - #ended >= most then
  return { 'many', count - #ended }
end
on_key('HSET', wishes, field, ARGV[2] .. ' ' .. string.format('%.0f', now + tonumber(ARGV[3])) .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
return { 'ok', signals and add_signal({ 'kind', 'wish' }) or '' }
