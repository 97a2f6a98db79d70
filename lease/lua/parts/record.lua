-- Shared: what is on record for each session besides its deadline.
--
-- A member "!of:<usual>:<reach>:<consumer>" of the session set, with the score -inf, records the TTL of a consumer's
-- sessions (ms), and the greatest that they may come to have. The score keeps it out of the books, which every beat reads.
-- Living consumers of an older version have none.

-- Calls f(member, usual, reach, consumer) for each record.
local function each_record(sessions, f)
  local members = redis.call('ZRANGEBYSCORE', sessions, '-inf', '-inf')
  for i = 1, #members do
    local usual, reach, consumer = string.match(members[i], '^!of:(%d+):(%d+):(.*)$')
    if consumer then
      f(members[i], tonumber(usual), tonumber(reach), consumer)
    end
  end
end

-- The record of consumer me; ttls is "<usual>:<reach>".
local function record_of(me, ttls)
  return '!of:' .. ttls .. ':' .. me
end

-- Is called when a record of consumer me was added, and keeps one of those it has. A greater reach on record stays: this may be a late
-- call from before it grew. Records of consumers without a session are deleted: an older version removed those sessions.
local function keep_one_record(sessions, me, mine)
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

-- The usual session TTL of each consumer with a record, ms.
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

-- Removes a session and its records.
local function remove_session(sessions, consumer)
  redis.call('ZREM', sessions, consumer)
  each_record(sessions, function(member, _, _, of)
    if of == consumer then
      redis.call('ZREM', sessions, member)
    end
  end)
end

-- Removes a consumer for which nothing is pending, and its session.
local function remove_consumer(input, group, sessions, consumer)
  redis.call('XGROUP', 'DELCONSUMER', input, group, consumer)
  remove_session(sessions, consumer)
end
