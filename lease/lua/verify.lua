-- Restores leases that a failover or a restart has forgotten. It is sent only while settling, for leases that renew found missing
-- and that are held locally: nobody else can have got them meanwhile.
--
-- KEYS     1 input stream  2 sessions  3 token  4… lease keys, then, if there are checkpoints, as in renew
-- ARGV     1 consumer  2 group  3 settle mode  4 lease TTL, ms  5 number of leases  6… "<token> <entry>" of each
--          lease, then the checkpoints, if there are some, as save_along takes them
-- Returns  { 'ok', a verdict a lease: k kept, l lost, g lost, and its announcement is nowhere on this server; and if there
--          are checkpoints, as save_along returns } or { 'lost' }: my session is past its deadline or absent
-- Atomic   so that a lease is set only if it is free and its entry pending for me.
-- Parts    deadline session token value entry along

local FIRST = 4
local input, sessions, token = KEYS[1], KEYS[2], KEYS[3]
local me, group, mode, ttl, count = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local AFTER = 6 + count

keep_sessions(sessions)
if not is_alive(sessions, me) then
  return { 'lost' }
end
local settling, err = is_settling(sessions, mode)
if err then
  return err
end

local greatest = 0

-- The consumer that an entry is pending for, or nil. A server that has forgotten everything has no group.
local function pending_for(id)
  local page = redis.pcall('XPENDING', input, group, id, id, '1')
  if not page.err then
    return page[1] and page[1][2]
  end
  if not string.find(page.err, 'NOGROUP', 1, true) then
    error(page.err, 0)
  end
end

local function verify(key, tag)
  local want = me .. ' ' .. tag
  local value = redis.call('GET', key)
  if value then
    if not names(value, want) then
      return 'l'
    end
    prolong(key, ttl)
    return 'k'
  end
  local number, id = string.match(tag, '^(%d+) (%S+)$')
  if not settling then
    return 'l'
  end
  local owner = pending_for(id)
  if owner ~= me then
    return (owner or body(input, id)) and 'l' or 'g'
  end
  redis.call('SET', key, want, 'PX', ttl)
  greatest = math.max(greatest, tonumber(number))
  return 'k'
end

local verdicts = {}
for i = 1, count do
  local ok, verdict = pcall(verify, KEYS[i + FIRST - 1], ARGV[5 + i])
  verdicts[i] = ok and verdict or 'l'
end
raise_token(token, greatest)
local answer = { 'ok', table.concat(verdicts) }
return ARGV[AFTER] and save_along(answer, FIRST, AFTER, verdicts, true) or answer
