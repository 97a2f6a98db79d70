-- Reads leases.
--
-- KEYS     their keys; one only while a slot migrates
-- ARGV     none
-- Returns  for each its value, or false
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    reply master value

-- Deletes nothing: no lease is a hash.
refuse_replica('HDEL', KEYS[1], '')
local answer = {}
for i, key in ipairs(KEYS) do
  answer[i] = lease_value(key) or false
end
return answer
