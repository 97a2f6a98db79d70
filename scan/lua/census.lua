-- Lists what a partition has, and who is alive there.
--
-- KEYS     1 input stream  2 sessions  3 later  4 dead-letter stream  5 token  6 scan  7… others
-- ARGV     1 group  2 most names of consumers to return
-- Returns  { consumers alive, { name of one, … }, entries pending, greatest token or false, then per key its type
--          ('none': it does not exist) and its length }
-- Atomic   so that everything is of one moment; a script because the answer must come from the master.
-- Parts    master clock living

refuse_replica('XACK', KEYS[1], ARGV[1], '0-0')

local function length(key, kind)
  if kind == 'none' then
    return 0
  elseif kind == 'stream' then
    return redis.call('XLEN', key)
  elseif kind == 'zset' then
    return redis.call('ZCARD', key)
  elseif kind == 'hash' then
    return redis.call('HLEN', key)
  end
  return 1
end

local sizes = {}
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  sizes[#sizes + 1], sizes[#sizes + 2] = kind, length(key, kind)
end
local living, names = 0, {}
if sizes[3] == 'zset' then
  living = count_living(KEYS[2])
  names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', now), '+inf', 'LIMIT', 0, ARGV[2])
end
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
local token = redis.pcall('GET', KEYS[5])
return { living, names, type(pending[1]) == 'number' and pending[1] or 0, type(token) == 'string' and token, unpack(sizes) }
