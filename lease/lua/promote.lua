-- Moves entries that are due in later back to the input stream.
--
-- KEYS     1 input stream  2 later  3 the dead-letter stream, only if an unreadable member was reported
-- ARGV     1 most to move  2 weight after which the rest is left  3 delay before a member is retried that the server
--          refused to move, ms
-- Returns  { moved, still due, unreadable members that were left, refused, why the first of those was, or '', ms until the next is
--          due if none is, as beat, how late the latest was that was moved, ms }
-- Atomic   so that each member leaves later in the step that adds its entry.
-- Parts    clock value entry later member

local input, later, dead = KEYS[1], KEYS[2], KEYS[3]
local most, budget, delay = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- One member at a time, since the weight of a page is not known beforehand.
local moved, unreadable, refused, weight, why, late = 0, 0, 0, 0, '', 0
while moved + unreadable + refused < most and (weight == 0 or weight < budget) do
  local found = redis.call('ZRANGEBYSCORE', later, '-inf', now, 'WITHSCORES', 'LIMIT', unreadable, 1)
  local member = found[1]
  if not member then
    break
  end
  weight = weight + #member
  local fields = unpacked(member)
  local to = input
  if fields then
    weight = weight + FIELD_WEIGHT / 2 * #fields
  else
    to, fields = dead, { 'lbs-input', member, '_reason', 'unreadable member of ' .. later, '_dead_at', string.format('%.0f', now) }
  end
  if to then
    local done, err = pcall(move_member, later, member, to, fields)
    if done then
      moved = moved + 1
      late = math.max(late, now - tonumber(found[2]))
    else
      -- It is set aside, so that those after it get their turn. If not even that works, nothing does.
      local aside = redis.pcall('ZADD', later, 'XX', string.format('%.0f', now + delay), member)
      if type(aside) == 'table' and aside.err then
        return redis.error_reply(message(err))
      end
      refused = refused + 1
      why = why ~= '' and why or message(err)
    end
  else
    unreadable = unreadable + 1
  end
end
local due, soon = look_ahead(later)
return { moved, due, unreadable, refused, why, soon, late }
