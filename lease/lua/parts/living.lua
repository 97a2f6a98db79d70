-- Shared: whether anybody works with a partition. Nobody can where sessions are of another type.
--
-- Parts    clock

local function count_living(sessions)
  local living = redis.pcall('ZCOUNT', sessions, '(' .. string.format('%.0f', now), '+inf')
  if type(living) == 'table' and living.err then
    if string.find(living.err, 'WRONGTYPE', 1, true) then
      return 0
    end
    error(living.err, 0)
  end
  return living
end
