-- Sends dead letters back to the input stream, their counts from zero.
--
-- KEYS     1 input stream  2 dead-letter stream
-- ARGV     IDs of dead letters
-- Returns  { a verdict a letter, { index, error, … } }: m moved; n not there (any more); u more fields than can be
--          copied, left; x refused, left
-- Atomic   each letter is copied, and then deleted, in one step: nobody sees it twice or not at all.
-- Parts    clock value entry

local input, dead = KEYS[1], KEYS[2]

local function send(id)
  local fields = body(dead, id)
  if not fields then
    return 'n'
  end
  if too_wide(fields) then
    return 'u'
  end
  local new = redis.call('XADD', input, '*', unpack(stamped(fields, '0', '0')))
  local deleted = redis.pcall('XDEL', dead, id)
  if type(deleted) == 'table' and deleted.err then
    redis.pcall('XDEL', input, new)
    error(deleted.err, 0)
  end
  return 'm'
end

local verdicts, errors = {}, {}
for i, id in ipairs(ARGV) do
  local ok, verdict = pcall(send, id)
  if not ok then
    errors[#errors + 1], errors[#errors + 2] = i, message(verdict)
    verdict = 'x'
  end
  verdicts[i] = verdict
end
return { table.concat(verdicts), errors }
