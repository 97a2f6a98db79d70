-- Reads whether somebody owns a stream: the first of the two steps in which it is announced while its slot migrates.
--
-- KEYS     1 lease key
-- ARGV     none
-- Returns  { verdict, entry }: o owned; f free, or shut, with the entry that it is held for, '' if there is none
-- Atomic   so that the answer is that of a master. announce.lua says why a look of its own will do.
-- Parts    master value

-- Adds nothing, since there can be no such ID.
refuse_replica('XADD', KEYS[1], '0-0', 'f', 'v')

local value = redis.pcall('GET', KEYS[1])
local err = refused(value)
if err and not string.find(err, 'WRONGTYPE', 1, true) then
  return value
end
local holder = type(value) == 'string' and parse(value)
if holder and not holder.shut then
  return { 'o', '' }
end
return { 'f', holder and holder.entry or '' }
