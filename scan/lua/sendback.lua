-- Sends dead letters back to the input stream, with their counts reset to zero.
--
-- KEYS     1 input stream  2 dead-letter stream
-- ARGV     1 group  2 greatest weight of an entry that is copied (0: no limit)  3 weight after which the rest is left
--          4… IDs of dead letters
-- Returns  { a verdict a letter, { index, error, … } }: m moved; n not there (any more); t left for the next call; and letters
--          that stay: u more fields than can be copied; z none at all; b too heavy, with the weight in place of the error; g the
--          entry that it refers to is gone; o that entry is in use, with the reason in place of the error; x refused
-- Atomic   so that each letter is copied and deleted in one step: nobody sees it twice or not at all.
-- Parts    entry reference

local input, dead = KEYS[1], KEYS[2]
local group = ARGV[1]
local to = { most = tonumber(ARGV[2]), budget = tonumber(ARGV[3]) }
local FIRST_ARG = 3

local function send(id)
  local fields = body(dead, id)
  if not fields then
    return 'n'
  end
  local referred = reference(fields)
  if referred then
    fields = body(input, referred)
    if not fields then
      return 'g'
    end
    local why = in_use(input, group, referred)
    if why then
      return 'o', why
    end
  end
  local _, too_much = weigh_copy(to, fields)
  if too_much then
    return 'b', too_much
  end
  local copy, why_not = copy_of(fields, '0', '0')
  if not copy then
    return why_not
  end
  local new = redis.call('XADD', input, '*', unpack(copy))
  or_undo({ 'XDEL', input, new }, 'XDEL', dead, id)
  if referred then
    redis.pcall('XDEL', input, referred)
  end
  return 'm'
end

return { in_turn(to, #ARGV - FIRST_ARG, function(i)
  return send(ARGV[FIRST_ARG + i])
end) }
