-- Reads leases.
--
-- KEYS     lease keys
-- ARGV     none
-- Returns  { now, value or false, remaining TTL in ms (-2: no lease, -1: no TTL), … } in the order of the keys
-- Atomic   so that value and TTL belong together; a script because the answer must come from the master.
-- Parts    clock

local answer = { now }
for i, key in ipairs(KEYS) do
  local value = redis.pcall('GET', key)
  answer[2 * i] = type(value) == 'string' and value
  answer[2 * i + 1] = redis.call('PTTL', key)
end
return answer
