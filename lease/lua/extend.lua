-- Extends one lease that is still ours: renew with a single key, for while a slot migrates and its keys are on two nodes. The
-- session is extended by beat meanwhile.
--
-- KEYS     1 lease key
-- ARGV     1 "<consumer> <token> <entry>"  2 lease TTL, ms
-- Returns  k kept, l lost, m missing (what that means only the caller knows)
-- Atomic   so that nobody else's lease is extended.
-- Parts    value

local value = lease_value(KEYS[1])
if not value then
  return 'm'
end
if not names(value, ARGV[1]) then
  return 'l'
end
prolong(KEYS[1], ARGV[2])
return 'k'
