-- Shared: what is delayed, and how soon the next of it is due.
--
-- Parts    clock

-- How far ahead is looked, ms, which is beyond the next beat, as lease.LookAhead; and how exact the answer is.
local LOOK_AHEAD, EXACT = 1280, 40

-- The number of entries that are due; and if none is, the ms until the next one will be: not less than that, and up to 40 more; 0 if
-- none will be within LOOK_AHEAD. It counts and reads nothing, since each member has a whole announcement, of megabytes at worst.
-- Where nothing is due soon that is one command.
local function look_ahead(later)
  local function count(ms)
    return redis.call('ZCOUNT', later, '-inf', string.format('%.0f', now + ms))
  end
  if count(LOOK_AHEAD) == 0 then
    return 0, 0
  end
  local due = count(0)
  if due > 0 then
    return due, 0
  end
  local low, high = 0, LOOK_AHEAD
  while high - low > EXACT do
    local middle = (low + high) / 2
    if count(middle) > 0 then
      high = middle
    else
      low = middle
    end
  end
  return 0, high
end
