-- Deletes dead letters for good, and the entries that they refer to. The checkpoints of their streams are marked as done.
--
-- KEYS     1 dead-letter stream  2 checkpoints  3… the lease key of the stream of each, the one of the empty name if it is not known;
--          then the input stream, only if one of them refers to an entry
-- ARGV     1 group  2… per letter: its ID, and that of the entry that it refers to ('': none)
-- Returns  number of letters that were there
-- Atomic   so that no letter is deleted whose entry stays behind: nothing else refers to that entry; and no checkpoint is marked of a
--          stream that is owned.
-- Parts    clock value entry reference checkpoint

local dead, checkpoints, input = KEYS[1], KEYS[2], KEYS[#KEYS]
local group = ARGV[1]

-- Notes in the checkpoint of a stream that it is done, so that it is deleted one day; its owner takes that off. Letters are dropped even
-- where that is refused.
local function mark_done(key)
  if lease_value(key) then
    return
  end
  local field = checkpoint_field(checkpoints, key)
  local found = redis.pcall('HMGET', checkpoints, field)
  local token, tag, checkpoint = parse_checkpoint(not found.err and found[1] or '')
  if tag == 'v' or tag == 'r' then
    redis.pcall('HSET', checkpoints, field, token .. ' d' .. string.format('%.0f', now) .. ' ' .. checkpoint)
  end
end

local dropped = 0
for i = 2, #ARGV, 2 do
  local id, referred = ARGV[i], ARGV[i + 1]
  -- The letter last, so that the call can be repeated if deleting the entry failed.
  if referred ~= '' and #redis.call('XRANGE', dead, id, id) > 0 and not in_use(input, group, referred) then
    redis.call('XDEL', input, referred)
  end
  if redis.call('XDEL', dead, id) == 1 then
    dropped = dropped + 1
    mark_done(KEYS[2 + i / 2])
  end
end
return dropped
