-- Moves delayed entries to the input stream before they are due.
--
-- KEYS     1 input stream  2 later
-- ARGV     1 weight after which the rest is left  2… members of later
-- Returns  { a verdict a member, { index, error, … } }: m moved; n not there: it was handed out or cancelled meanwhile; z it cannot be
--          read; t left for the next call; x refused
-- Atomic   so that each entry leaves later in the step that announces it, and only one of several callers moves it.
-- Parts    entry member

local FIRST_ARG = 1
local input, later = KEYS[1], KEYS[2]
local to = { budget = tonumber(ARGV[1]) }

return { in_turn(to, #ARGV - FIRST_ARG, function(i)
  local member = ARGV[FIRST_ARG + i]
  if not redis.call('ZSCORE', later, member) then
    return 'n'
  end
  local fields = unpacked(member)
  if not fields then
    return 'z'
  end
  to.moved = to.moved + #member + FIELD_WEIGHT / 2 * #fields -- counts are packed as numbers
  move_member(later, member, input, fields)
  return 'm'
end) }
