-- Announces entries again that are neither pending nor undelivered: at the end of the input stream, with the same counts.
--
-- KEYS     1 input stream  2 later  3 dead-letter stream  4… the lease key of each entry's stream
-- ARGV     1 group  2 greatest weight of an entry that is copied (0: no limit)  3 weight after which the rest is left
--          4 ID of the last dead letter that the caller has read ('0-0': none)  5… IDs of entries
-- Returns  { a verdict an entry, { index, error, … } }: m moved; n pending, not delivered yet, referred to by a newer dead letter,
--          or gone; h held: its owner makes it pending again; t left for the next call, all of them if there are many newer
--          dead letters; and entries that stay: u more fields than can be copied; z none at all; b too heavy, with the weight in
--          place of the error; x refused
-- Atomic   so that each entry is copied and deleted in one step, and a repeated call finds it gone. A dead letter that refers
--          to one may be written until that very moment.
-- Parts    value entry group reference

local input, later, dead, name = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local most, budget, last = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local FIRST_KEY, FIRST_ARG = 3, 4
local MOST_LETTERS = 100
local to = { input = input, later = later, most = most, budget = budget }
local delivered = last_delivered(input, name)

-- The entries that dead letters after the last one refer to; nil if those letters are too many or too heavy to be read.
local function referred_since()
  local ids, weight = {}, 0
  for _ = 1, MOST_LETTERS do
    local letter = redis.call('XRANGE', dead, '(' .. last, '+', 'COUNT', '1')[1]
    if not letter then
      return ids
    end
    weight = weight + weigh(letter[2])
    if weight > budget then
      return nil
    end
    ids[reference(letter[2]) or ''] = true
    last = letter[1]
  end
end

local referred = referred_since()
if not referred then
  return { string.rep('t', #KEYS - FIRST_KEY), {} }
end

local function announce(key, id)
  if referred[id] or after(id, delivered) or find_pending(input, name, id) then
    return 'n'
  end
  local fields = body(input, id)
  if not fields then
    return 'n'
  end
  local value = lease_value(key)
  local holder = value and parse(value)
  if holder and holder.entry == id then
    return 'h'
  end
  local _, too_much = weigh_copy(to, fields)
  if too_much then
    return 'b', too_much
  end
  local copy, why_not = copy_of(fields, field(fields, '_retry_count') or '0', field(fields, '_crash_count') or '0')
  if not copy then
    return why_not
  end
  local verdict, undo = put(to, id, copy, 'l', not_before(fields, copy))
  or_undo(undo, 'XDEL', input, id)
  return verdict
end

return { in_turn(to, #KEYS - FIRST_KEY, function(i)
  return announce(KEYS[FIRST_KEY + i], ARGV[FIRST_ARG + i])
end) }
