-- Writes what a service's members must agree on if nobody has, and returns what is there.
--
-- KEYS     1 {<service>-input}:meta  2 sessions of partition 0, omitted by users who may not read them
-- ARGV     1 format version  2 number of partitions  3 '1': the caller has agreed before and is a member
-- Returns  { format version, number of partitions, state, from, to, opened }, the three before the last false unless the
--          service is being deleted or repartitioned; opened is 0 if no engine has opened partition 0 since its sessions were
--          kept last (deadline.lua), false where they may not be read; or { 'living', number }: there is no record although members are alive, and nothing
--          was written; or an error OLDSERVER: the server is older than Redis 6.2
-- Atomic   so that of two first members with different settings one wins and the other gets an error. A new member writes
--          nothing while others are alive: their record was deleted, and only they know its content.
-- Parts    reply
local meta, sessions = KEYS[1], KEYS[2]

-- Redis 6.2 brought these commands. A server looks a command up and counts its arguments before it checks rights, so without
-- arguments they have no effect and need no right. From Redis 7 on scripts see the version, so its presence is enough.
local function is_old()
  for command in string.gmatch('XAUTOCLAIM ZMSCORE', '%u+') do
    if not string.find(string.lower(refused(redis.pcall(command)) or ''), 'unknown redis command', 1, true) then
      return false
    end
  end
  return true
end
if not redis.REDIS_VERSION_NUM and is_old() then
  return redis.error_reply('OLDSERVER the server knows neither XAUTOCLAIM nor ZMSCORE, which Redis 6.2 brought')
end

local known = redis.pcall('HMGET', meta, 'format', 'partitions')
if refused(known) then
  return trying(known.err, 'HMGET on ' .. meta)
end
if sessions and ARGV[3] ~= '1' and not (known[1] and known[2]) then
  local clock = redis.pcall('TIME')
  if refused(clock) then
    return trying(clock.err, 'TIME')
  end
  local living = redis.pcall('ZCOUNT', sessions, '(' .. clock[1] .. string.sub(string.format('%06d', clock[2]), 1, 3), '+inf')
  if refused(living) then
    return trying(living.err, 'ZCOUNT on ' .. sessions)
  end
  if living > 0 then
    return { 'living', living }
  end
end
local agreed
for _, call in ipairs({
  { 'HSETNX', meta, 'format', ARGV[1] },
  { 'HSETNX', meta, 'partitions', ARGV[2] },
  { 'HMGET', meta, 'format', 'partitions', 'state', 'from', 'to' },
}) do
  agreed = redis.pcall(unpack(call))
  if refused(agreed) then
    return trying(agreed.err, call[1] .. ' on ' .. meta)
  end
end
if sessions then
  -- What an engine has written there outlasts its session.
  local written = redis.pcall('ZCOUNT', sessions, '-inf', '+inf')
  if not refused(written) then
    agreed[6] = written
  end
end
return agreed
