-- Shared: what is on record of each session beside its deadline.
--
-- A member "!of:<usual>:<reach>:<consumer>" of the session set, with the score -inf, says what TTL the sessions of a
-- consumer have (ms), and the greatest that they may come to have. The score keeps it out of the books, which every beat
-- reads. Whoever is alive and of an older version has none.

-- Calls f(member, usual, reach, consumer) for each.
local function each_record(sessions, f)
  local members = redis.call('ZRANGEBYSCORE', sessions, '-inf', '-inf')
  for i = 1, #members do
    local usual, reach, consumer = string.match(members[i], '^!of:(%d+):(%d+):(.*)$')
    if consumer then
      f(members[i], tonumber(usual), tonumber(reach), consumer)
    end
  end
end

-- Notes the TTLs of consumer me, text is "<usual>:<reach>". A greater reach on record stays: this may be a call from before it
-- grew that comes late. What is on record of consumers without a session goes: an older version removed them.
local function note_ttl(sessions, me, text)
  local mine = '!of:' .. text .. ':' .. me
  if redis.call('ZADD', sessions, '-inf', mine) == 0 then
    return
  end
  local kept, most
  each_record(sessions, function(member, _, reach, consumer)
    if consumer ~= me then
      if not redis.call('ZSCORE', sessions, consumer) then
        redis.call('ZREM', sessions, member)
      end
      return
    end
    if not kept or reach > most or reach == most and member == mine then
      kept, member, most = member, kept, reach
    end
    if member then
      redis.call('ZREM', sessions, member)
    end
  end)
end

-- The usual session TTL of each consumer that has one on record, ms.
local function usual_ttls(sessions)
  local ttls = {}
  each_record(sessions, function(_, usual, _, consumer)
    ttls[consumer] = usual
  end)
  return ttls
end

-- The greatest session TTL on record, ms; 0: none.
local function greatest_ttl(sessions)
  return -tonumber(redis.call('ZSCORE', sessions, '!ttl') or 0)
end

-- Removes a session with all that is on record of it.
local function remove_session(sessions, consumer)
  redis.call('ZREM', sessions, consumer)
  each_record(sessions, function(member, _, _, of)
    if of == consumer then
      redis.call('ZREM', sessions, member)
    end
  end)
end

-- Removes a consumer for which nothing is pending, with its session.
local function remove_consumer(input, group, sessions, consumer)
  redis.call('XGROUP', 'DELCONSUMER', input, group, consumer)
  remove_session(sessions, consumer)
end
