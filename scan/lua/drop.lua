-- Deletes dead letters for good, and the entries that they refer to.
--
-- KEYS     1 dead-letter stream  2 input stream, only if one of them refers to an entry
-- ARGV     1 group  2… per letter: its ID, and that of the entry that it refers to ('': none)
-- Returns  number of letters that were there
-- Atomic   so that no letter is deleted whose entry stays behind: nothing else refers to that entry.
-- Parts    clock value entry reference

local dead, input = KEYS[1], KEYS[2]
local group = ARGV[1]
local dropped = 0
for i = 2, #ARGV, 2 do
  local id, referred = ARGV[i], ARGV[i + 1]
  -- The letter last, so that the call can be repeated if deleting the entry failed.
  if referred ~= '' and #redis.call('XRANGE', dead, id, id) > 0 and not in_use(input, group, referred) then
    redis.call('XDEL', input, referred)
  end
  dropped = dropped + redis.call('XDEL', dead, id)
end
return dropped
