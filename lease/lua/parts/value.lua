-- Shared: the value of a lease key, "<consumer> <token> <entry>"; if another announcement of the stream waits, " <waiting entry>"; and
-- if its owner is about to leave, the mark of shut.lua, " shut=…". A consumer's name contains no space. lease/value.go does the same in
-- Go. What else may follow is no part of this version.

-- The waiting entry in what follows the entry of a value, or nil. Only a well-formed ID is one.
local function waiting_in(rest)
  return string.match(rest, '^ (%d+%-%d+)$') or string.match(rest, '^ (%d+%-%d+) ')
end

-- The mark in what follows the entry of a value, or nil.
local function shut_in(rest)
  return string.match(rest, '^ (shut=%S+)$') or string.match(rest, '^ %d+%-%d+ (shut=%S+)$')
end

-- A value with these first three fields, and a waiting entry and a mark if there are any.
local function with_tail(text, waiting, mark)
  return text .. (waiting and ' ' .. waiting or '') .. (mark and ' ' .. mark or '')
end

local function parse(value)
  local consumer, token, entry, rest = string.match(value, '^(%S+) (%d+) (%d+%-%d+)(.*)$')
  if not consumer then
    return nil
  end
  local holder = { consumer = consumer, token = token, entry = entry }
  if rest ~= '' then
    holder.waiting, holder.shut = waiting_in(rest), shut_in(rest)
  end
  return holder
end

-- Reports whether the first three fields of value are those of want, "<consumer> <token> <entry>".
local function names(value, want)
  return value == want or string.sub(value, 1, #want + 1) == want .. ' '
end

-- Reports whether entry ID a comes after b.
local function after(a, b)
  local ams, aseq = string.match(a, '^(%d+)%-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)%-(%d+)$')
  ams, bms = tonumber(ams), tonumber(bms)
  if ams ~= bms then
    return ams > bms
  end
  return tonumber(aseq) > tonumber(bseq)
end

-- The value of a lease key if it exists, is readable and is a string; else nil.
local function lease_value(key)
  local value = redis.pcall('GET', key)
  if type(value) ~= 'string' then
    return nil
  end
  return value
end

-- Extends a lease, and never shortens it: this may be a late call from before the TTL was lengthened.
local function prolong(key, ttl)
  if redis.call('PTTL', key) < tonumber(ttl) then
    redis.call('PEXPIRE', key, ttl)
  end
end

-- The parsed lease if consumer holds it for this entry; else nil.
local function held_by(value, consumer, entry)
  local holder = value and parse(value)
  if holder and holder.consumer == consumer and holder.entry == entry then
    return holder
  end
end

local function not_a_lease(key)
  return 'the value of ' .. key .. ' is not a lease: delete the key'
end
