-- Ends the sessions of runs that are proven to have ended, so that what they left is recovered now.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 group  2… names of runs
-- Returns  number of sessions that were open, or did not exist, and are past now
-- Atomic   so that a session is not ended under a deadline that another script has just changed.
-- Parts    deadline record judge info
--
-- A run has a session under its own name, or under that name with "-<number>", after it has lost one. Whoever calls this knows that
-- no process believes in them. So it neither waits for settling nor cares how late beats are.
--
-- A call that the run had sent before it died may still run, and changes nothing: a session that is past is not extended, and
-- takes no stream. Once recovery has removed the session, such a call makes it again, and a blocked read makes the consumer
-- again, without a session. That is what the second look is for (predecessors in package engine).

local input, sessions, group = KEYS[1], KEYS[2], ARGV[1]

keep_sessions(sessions)

local function is_proven(consumer)
  for i = 2, #ARGV do
    local run = ARGV[i]
    if string.sub(consumer, 1, #run) == run then
      local rest = string.sub(consumer, #run + 1)
      if rest == '' or string.find(rest, '^%-%d+$') then
        return true
      end
    end
  end
  return false
end

-- Marks a deadline that was not reached: it is the time of the last beat, as far as that is known.
local PROVEN = 0.25

local ended, ttls = 0, nil
local open = redis.call('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES')
for i = 1, #open, 2 do
  local consumer, deadline = open[i], tonumber(open[i + 1])
  if is_proven(consumer) then
    local at = now - 1 + ADOPTED -- of one that was adopted nobody knows when it beat
    if deadline % 1 ~= ADOPTED then
      ttls = ttls or usual_ttls(sessions)
      at = math.min(now - 1, math.floor(deadline) - (ttls[consumer] or greatest_ttl(sessions))) + PROVEN
    end
    redis.call('ZADD', sessions, at, consumer)
    ended = ended + 1
  end
end
local consumers = redis.pcall('XINFO', 'CONSUMERS', input, group)
if consumers.err then
  return is_missing(consumers.err) and ended or redis.error_reply(consumers.err)
end
for _, flat in ipairs(consumers) do
  local c = named(flat)
  if is_proven(c.name) then
    ended = ended + redis.call('ZADD', sessions, 'NX', now - 1 + PROVEN, c.name)
  end
end
return ended
