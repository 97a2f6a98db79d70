-- Reads what operators wish.
--
-- KEYS     1 wishes of the service
-- ARGV     1 most fields
-- Returns  { now, { field, value, … } }; or { 'many', fields }: there are more than that, and they are not read
-- Atomic   so that the wishes and the clock, by which they end, are of one moment; a script because the answer must come from the master.
-- Parts    master clock checkpoint

local wishes = KEYS[1]
if redis.call('PTTL', wishes) == -2 then
  return { now, {} } -- where nobody wishes anything, no right is missed
end
refuse_replica('HDEL', wishes, '-')
local count = on_key('HLEN', wishes)
if count > tonumber(ARGV[1]) then
  return { 'many', count }
end
return { now, on_key('HGETALL', wishes) }
