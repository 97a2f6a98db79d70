-- Announces a stream, unless somebody owns it, or an announcement of the caller's stands.
--
-- KEYS     1 input stream  2 lease key, omitted while a slot migrates: the caller has looked at it by owned.lua before
-- ARGV     1 group  2 the entry that the caller last announced of the stream ('': none known, or the one that owned.lua answered)
--          3… the entry's fields
-- Returns  { verdict, entry }: a announced, with its ID; s the caller's last one stands; o owned
-- Atomic   so that no owner leaves between the look and the announcement: see shut.lua.
-- Parts    group master value
--
-- A lease that is shut counts as free. The entry that it is held for goes with the lease, so it does not stand. Any other entry stands
-- while somebody will get it: undelivered, or pending. One that was delivered and is pending for nobody, as a dead letter by reference
-- is, does not. One that was moved, to later or under another ID, is not found any more: an announcement too many does no harm.
--
-- Two steps will do while a slot migrates, with one key each. Whoever gets the stream after owned.lua has found it free or shut gets it after
-- the message was added, and reads it. So an entry that stands in the second step is one that somebody will own the stream for, or
-- does since the first, unless it is the one that the lease was held for when it was shut: that one does not count.

local input, key = KEYS[1], KEYS[2]
local group, last = ARGV[1], ARGV[2]

local function stands(id)
  if #redis.call('XRANGE', input, id, id) == 0 then
    return false
  end
  local found = find_group(input, group)
  return not found or after(id, found['last-delivered-id']) or #redis.call('XPENDING', input, group, id, id, '1') > 0
end

-- A key of another type is no lease, so nobody owns the stream. Any other refusal says nothing about that.
local value = key and redis.pcall('GET', key)
local err = key and refused(value)
if err and not string.find(err, 'WRONGTYPE', 1, true) then
  return value
end
local holder = type(value) == 'string' and parse(value)
local verdict
if holder and not holder.shut then
  verdict, last = 'o', ''
elseif last ~= '' and not (holder and holder.entry == last) and stands(last) then
  verdict = 's'
end
if not verdict then
  return { 'a', redis.call('XADD', input, '*', unpack(ARGV, 3)) }
end
-- Adds nothing, since there can be no such ID. A demoted server refuses it, as it refuses to announce.
refuse_replica('XADD', input, '0-0', 'f', 'v')
return { verdict, last }
