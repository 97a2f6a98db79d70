-- Shared: deciding whether anybody may be found dead now, and adopting consumers without a session.
--
-- Parts    clock deadline session

-- The answer of a script that must not find anybody dead now: { 'wait' }, or an error; nil if it may.
--
-- It must wait while I have no session myself, while the partition settles, and after a gap in everybody's beats: the first one
-- back would find consumers dead that are about to beat, and the next beat adds the gap to their deadlines.
local function must_wait(sessions, me, mode, gap)
  keep_sessions(sessions)
  if not is_alive(sessions, me) then
    return { 'wait' }
  end
  local beat = redis.call('ZSCORE', sessions, '!beat')
  if not beat or now + tonumber(beat) > tonumber(gap) then
    return { 'wait' }
  end
  local settling, err = is_settling(sessions, mode)
  return err or settling and { 'wait' } or nil
end

-- A deadline with a fraction marks an adopted session, for which no crash is counted; a beat replaces it by a whole number.
local ADOPTED = 0.5

-- Gives a consumer a session unless it has one.
local function adopt(sessions, consumer, ttl)
  redis.call('ZADD', sessions, 'NX', now + ttl + ADOPTED, consumer)
end
