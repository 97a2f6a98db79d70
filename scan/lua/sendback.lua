-- Sends dead letters back to the input stream, their counts from zero.
--
-- KEYS     1 input stream  2 dead-letter stream
-- ARGV     1 group  2 most that an entry may weigh to be copied (0: no limit)  3 once as much has been copied, the rest is left
--          4… IDs of dead letters
-- Returns  { a verdict a letter, { index, error, … } }: m moved; n not there (any more); t left for the next call; all others
--          leave the letter: u more fields than can be copied; z none at all; b it weighs too much, in the place of the error
--          how much; g the entry that it refers to is gone; o that is somebody's, in the place of the error whose; x refused
-- Atomic   each letter is copied, and then deleted, in one step: nobody sees it twice or not at all.
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
