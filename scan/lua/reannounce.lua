-- Announces again what is neither pending nor undelivered: at the end of the input stream, its counts as they are.
--
-- KEYS     1 input stream  2 later  3… the lease key of each entry's stream
-- ARGV     1 group  2… IDs of entries
-- Returns  { a verdict an entry, { index, error, … } }: m moved; n pending, not delivered yet, or gone; h held: its owner
--          brings it back; u more fields than can be copied, left; z none at all, left; x refused, left
-- Atomic   each entry is copied, and then deleted, in one step; asked again, it is gone.
-- Parts    clock value entry group

local input, later, name = KEYS[1], KEYS[2], ARGV[1]
local to = { input = input, later = later }
local delivered = last_delivered(input, name)

local function announce(key, id)
  if after(id, delivered) or #redis.call('XPENDING', input, name, id, id, '1') > 0 then
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
  if too_wide(fields) then
    return 'u'
  end
  local copy = stamped(fields, field(fields, '_retry_count') or '0', field(fields, '_crash_count') or '0')
  if not copy then
    return 'z'
  end
  local verdict, undo = put(to, id, copy, 'l', not_before(fields, copy))
  local deleted = redis.pcall('XDEL', input, id)
  if type(deleted) == 'table' and deleted.err then
    redis.pcall(unpack(undo))
    error(deleted.err, 0)
  end
  return verdict
end

local verdicts, errors = {}, {}
for i = 3, #KEYS do
  local ok, verdict = pcall(announce, KEYS[i], ARGV[i - 1])
  if not ok then
    errors[#errors + 1], errors[#errors + 2] = i - 2, message(verdict)
    verdict = 'x'
  end
  verdicts[i - 2] = verdict
end
return { table.concat(verdicts), errors }
