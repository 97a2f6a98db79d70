-- Shared: the deadlines of the sessions of a partition.
--
-- Parts    clock

-- A session set that nobody has touched for 30 days belongs to a service that is gone.
local SESSIONS_KEPT = 2592000000

-- The first write of a script, so that maxmemory, which does not refuse it, lets what follows pass, and a server that was
-- demoted refuses the script before it answers from what it knew.
local function keep_sessions(sessions)
  redis.call('PEXPIRE', sessions, SESSIONS_KEPT)
end

-- Whether a consumer has a session that is not past.
local function is_alive(sessions, consumer)
  local deadline = redis.call('ZSCORE', sessions, consumer)
  return deadline and tonumber(deadline) > now
end

-- The deadline of a consumer's session that is past, as the server writes it; nil when it is not past, or not there.
local function past_deadline(sessions, consumer)
  local deadline = redis.call('ZSCORE', sessions, consumer)
  return deadline and tonumber(deadline) <= now and deadline or nil
end
