-- Takes a wish back, and has all processes look.
--
-- KEYS     1 wishes of the service; then the signals of partition 0, which may be left out
-- ARGV     1 field  2 kind
-- Returns  1; 0: there is none of this kind in the field, and nothing was done
-- Atomic   so that no other wish that is recorded in the field at this moment is taken back.
-- Parts    checkpoint signal
--
-- Asked again, it finds nothing. A call that runs late takes back what was recorded meanwhile, if that is of the same kind.

local wishes, field = KEYS[1], ARGV[1]

on_key('HDEL', wishes, '-') -- first: a demoted server refuses it, and does not answer from outdated data

if string.match(on_key('HGET', wishes, field) or '', '^%l+') ~= ARGV[2] then
  return 0
end
on_key('HDEL', wishes, field)
if signals then
  add_signal({ 'kind', 'wish' })
end
return 1
