-- Shared: the deadlines of the sessions of a partition.
--
-- Parts    clock

-- A session set that nobody has touched for 30 days belongs to a service that is gone.
local SESSIONS_KEPT = 2592000000

-- The first write of a script. maxmemory does not refuse it, and then lets the rest of the script pass; a demoted server refuses
-- it instead of answering from outdated data.
local function keep_sessions(sessions)
  redis.call('PEXPIRE', sessions, SESSIONS_KEPT)
end

-- Reports whether a consumer has a session that is not past.
local function is_alive(sessions, consumer)
  local deadline = redis.call('ZSCORE', sessions, consumer)
  return deadline and tonumber(deadline) > now
end

-- The deadline of a consumer's session if it is past, as ZSCORE returns it; nil if it is not past or there is none.
local function past_deadline(sessions, consumer)
  local deadline = redis.call('ZSCORE', sessions, consumer)
  return deadline and tonumber(deadline) <= now and deadline or nil
end
