-- Shared: finding out whether anybody works with a partition. Nobody can if the key of its sessions has another type.
--
-- Parts    clock reply

local function count_living(sessions)
  local living = redis.pcall('ZCOUNT', sessions, '(' .. string.format('%.0f', now), '+inf')
  local err = refused(living)
  if not err then
    return living
  end
  if string.find(err, 'WRONGTYPE', 1, true) then
    return 0
  end
  error(err, 0)
end

-- The answer of a script that must not change a partition: -1: somebody is alive; -3: it is not marked as this operation's; nil
-- if it may.
local function may_not_change(sessions, mark, operation)
  if count_living(sessions) > 0 then
    return -1
  end
  if redis.call('GET', mark) ~= operation then
    return -3
  end
end
