-- Stores the checkpoint of a stream, or a schedule, that comes from another partition.
--
-- KEYS     1 checkpoints, or schedules
-- ARGV     1 field  2 value
-- Returns  1: stored; 0: there is one, and its token, or its revision, is not less, or one of the two has none
-- Atomic   so that none is put in the place of a later one.

-- Both begin with a number that rises.
local function token_of(value)
  return tonumber(string.match(value, '^%d+') or '')
end

local stored = redis.call('HMGET', KEYS[1], ARGV[1])[1]
if stored then
  local here, coming = token_of(stored), token_of(ARGV[2])
  if not here or not coming or here >= coming then
    return 0
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
