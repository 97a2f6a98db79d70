-- Shared: checkpoints, which say how far the owner of a stream has come. They are in one hash a partition, {S}:checkpoints: field
-- "s<data stream>" has the value "<token> <tag> <checkpoint>", and field "!<consumer>" the greatest number of a call of that
-- session that stored some. lease/saving.go does the same in Go. Tags:
--   v      of the owner with this token
--   r      of an owner that gave the stream back
--   d<ms>  the stream was done, or its dead letter dropped, at that time: too old, it is deleted
-- An empty checkpoint is none. It is there only while an owner that has set it holds the stream, or after its crash.
--
-- The key is declared only where there is something to store, and by acquire. While a slot migrates, a script with a key that
-- is not there must wait, so a service without checkpoints would have its endings wait for nothing. Acquire waits in any
-- case, since the lease of a free stream does not exist.
--
-- Parts    value reply

local BEFORE_NAME = #':lease:' - #':checkpoints' + 1

-- The field of the stream with this lease key.
local function checkpoint_field(hash, key)
  return 's' .. string.sub(key, #hash + BEFORE_NAME)
end

-- The token, tag and checkpoint of a stored value; nil if its tag is not known, or it is none of ours.
local function parse_checkpoint(stored)
  local token, tag, checkpoint = string.match(stored, '^(%d+) (%l%d*) (.*)$')
  if tag == 'v' or tag == 'r' or tag and string.find(tag, '^d%d+$') then
    return token, tag, checkpoint
  end
end

local function not_a_checkpoint(hash, stored)
  local begin = string.match(stored, '^%d+ %w+') or 'no token'
  return 'BADCHECKPOINT ' .. hash .. ' has a value of an unknown kind: ' .. string.sub(begin, 1, 40)
end

-- The first write of a script that stores checkpoints: maxmemory does not refuse it, and then lets the rest of the script pass. A
-- demoted server refuses it. No field has this name.
local function begin_checkpoints(hash)
  on_key('HDEL', hash, '-')
end

-- Removes the number of a session that has ended. Where there is none nothing is written, and no right to do so is missed.
local function forget_number(hash, consumer)
  local found = redis.pcall('HMGET', hash, '!' .. consumer)
  if not found.err and found[1] then
    redis.pcall('HDEL', hash, '!' .. consumer)
  end
end

-- Adds to refusals those checkpoints, from at on as for store_checkpoints, in whose place there is one with a greater token (l), or one
-- that cannot be read (x).
local function refuse_older(hash, at, refusals)
  for a = at, #ARGV, 2 do
    local i, stored = (a - at) / 2 + 1, on_key('HMGET', hash, ARGV[a])[1]
    if stored then
      local token = parse_checkpoint(stored)
      if not token then
        refusals[i] = 'x'
      elseif tonumber(token) > tonumber(string.match(ARGV[a + 1], '^%d+')) then
        refusals[i] = 'l'
      end
    end
  end
  return refusals
end

-- Stores checkpoints unless a later call of the session was here, by one command. ARGV has, from at on, "!<consumer>", the number of
-- the call, and per checkpoint its field and its value. refusals[i] is the verdict on the one that must not be stored; nil: all may be.
-- With careful, one is refused that a later owner has left. Returns a verdict each: s stored, o a later call was here, and refusals.
local function store_checkpoints(hash, at, refusals, careful)
  local count = (#ARGV - at - 1) / 2
  local last = on_key('HMGET', hash, ARGV[at])[1]
  if last and (tonumber(last) or 0) > tonumber(ARGV[at + 1]) then
    return string.rep('o', count)
  end
  if careful then
    refusals = refuse_older(hash, at + 2, refusals or {})
  end
  if not refusals then
    on_key('HSET', hash, unpack(ARGV, at))
    return string.rep('s', count)
  end
  local verdicts, flat = {}, { ARGV[at], ARGV[at + 1] }
  for i = 1, count do
    verdicts[i] = refusals[i] or 's'
    if not refusals[i] then
      flat[#flat + 1], flat[#flat + 2] = ARGV[at + 2 * i], ARGV[at + 2 * i + 1]
    end
  end
  -- The number alone would outlast a session that has ended.
  if #flat > 2 then
    on_key('HSET', hash, unpack(flat))
  end
  return table.concat(verdicts)
end

-- The verdicts on leases that have these values and should have those of expected, one a line: l another's, m not there; nil if all
-- are as expected.
local function refusals_of(values, expected)
  local whole, all = pcall(table.concat, values, '\n') -- as in renew.lua
  if whole and all == expected then
    return nil
  end
  local refusals, i = {}, 0
  for want in string.gmatch(expected, '[^\n]+') do
    i = i + 1
    if not values[i] then
      refusals[i] = 'm'
    elseif not names(values[i], want) then
      refusals[i] = 'l'
    end
  end
  return refusals
end
