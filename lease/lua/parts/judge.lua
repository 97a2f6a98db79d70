-- Shared: whether anybody may be found dead now.
--
-- Parts    clock session

-- False while I have no session myself, while the partition settles, and after a gap in everybody's beats: whoever is the
-- first one back would find those dead who are about to beat, and the next beat adds the gap to their deadlines.
-- The second result is an error.
local function may_judge(sessions, me, mode, gap)
  local mine = redis.call('ZSCORE', sessions, me)
  if not mine or tonumber(mine) <= now then
    return false
  end
  local beat = redis.call('ZSCORE', sessions, '!beat')
  if not beat or now + tonumber(beat) > gap then
    return false
  end
  local settling, err = is_settling(sessions, mode)
  return not settling, err
end
