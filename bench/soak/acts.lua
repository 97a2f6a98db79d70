-- Does to an input stream what an operator does by hand, and returns the state of each entry that was affected, right before.
--
-- KEYS     1 input stream  2 sessions
-- ARGV     1 'acked', 'deleted', 'trimmed' or 'delconsumer'  2 group  3 prefix of the keys of leases  4 share: of the entries
--          that are acknowledged or deleted, or that a trimming keeps  5 seed of the random choice
-- Returns  { consumer that was deleted or '', entries: { ID, consumer for which it was pending or '', 'y' if it was delivered before,
--          value of its lease or '', beginning of its announcement } }
-- Atomic   so that the state of an entry is the one that it had when it was changed. Leases are read under names that are not declared:
--          they are in the slot of the input stream.

local input, sessions = KEYS[1], KEYS[2]
local act, group, prefix, share = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
math.randomseed(tonumber(ARGV[5]))

local delivered = last_delivered(input, group)
if not delivered then
  return { '', {} } -- no consumer came yet
end

local owner, pending = {}, {}
for _, row in ipairs(redis.call('XPENDING', input, group, '-', '+', 100000)) do
  owner[row[1]] = row[2]
  pending[#pending + 1] = row[1]
end

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function was_delivered(id)
  local ms, seq = parts(id)
  local last_ms, last_seq = parts(delivered)
  return ms < last_ms or ms == last_ms and seq <= last_seq
end

local function noted(id)
  local entry = redis.call('XRANGE', input, id, id)[1]
  if not entry then
    return nil -- its body was deleted before
  end
  local text = announcement_in(entry[2])
  local name = string.match(text, '^{"DataStreamName":"([^"\\]+)"')
  local lease = name and #name < 200 and redis.call('GET', prefix .. name) or ''
  return { id, owner[id] or '', was_delivered(id) and 'y' or '', lease, string.sub(text, 1, 300) }
end

local chosen, victim = {}, ''
local function draw(ids)
  for _, id in ipairs(ids) do
    if math.random() < share then
      chosen[#chosen + 1] = id
    end
  end
end

local keep = 0
if act == 'acked' then
  draw(pending)
elseif act == 'deleted' then
  draw(pending)
  local waiting = {}
  for _, entry in ipairs(redis.call('XRANGE', input, '(' .. delivered, '+', 'COUNT', 50)) do
    waiting[#waiting + 1] = entry[1]
  end
  draw(waiting)
elseif act == 'trimmed' then
  local length = redis.call('XLEN', input)
  keep = math.floor(length * share)
  if length > keep then
    for _, entry in ipairs(redis.call('XRANGE', input, '-', '+', 'COUNT', length - keep)) do
      chosen[#chosen + 1] = entry[1]
    end
  end
else
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local living, seen = {}, {}
  for _, id in ipairs(pending) do
    local name = owner[id]
    if not seen[name] and tonumber(redis.call('ZSCORE', sessions, name) or 0) > now then
      living[#living + 1] = name
    end
    seen[name] = true
  end
  if #living > 0 then
    victim = living[math.random(#living)]
    for _, id in ipairs(pending) do
      if owner[id] == victim then
        chosen[#chosen + 1] = id
      end
    end
  end
end

local notes = {}
for _, id in ipairs(chosen) do
  notes[#notes + 1] = noted(id)
end
if act == 'trimmed' then
  redis.call('XTRIM', input, 'MAXLEN', keep)
elseif victim ~= '' then
  redis.call('XGROUP', 'DELCONSUMER', input, group, victim)
else
  for _, id in ipairs(chosen) do
    if act == 'acked' then
      redis.call('XACK', input, group, id)
    else
      redis.call('XDEL', input, id)
    end
  end
end
return { victim, notes }
