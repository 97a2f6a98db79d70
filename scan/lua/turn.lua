-- Takes the turn to scan a partition in this interval.
--
-- KEYS     1 {S}:scan
-- ARGV     1 calling consumer  2 how long the turn lasts, ms
-- Returns  1 if the turn is mine, else 0
-- Atomic   so that only one of several takes over a turn.
--
-- A turn that lasts longer than anybody asks for was taken before the server's clock was set back, or has lost its TTL.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
