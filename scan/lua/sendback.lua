-- Sends dead letters back to the input stream, their counts from zero.
--
-- KEYS     1 input stream  2 dead-letter stream
-- ARGV     1 group  2 most that an entry may weigh to be copied (0: no limit)  3 once as much has been copied, the rest is left
--          4… IDs of dead letters
-- Returns  { a verdict a letter, { index, error, … } }: m moved; n not there (any more); t left for the next call; all others
--          leave the letter: u more fields than can be copied; z none at all; b it weighs too much, in the place of the error
--          how much; g the entry that it refers to is gone; o that is somebody's, in the place of the error whose; x refused
-- Atomic   each letter is copied, and then deleted, in one step: nobody sees it twice or not at all.
-- Parts    clock value entry reference

local input, dead = KEYS[1], KEYS[2]
local group, most, budget = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local FIRST_ARG = 3
local copied = 0

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
  local weight = weigh(fields)
  copied = copied + weight
  if most > 0 and weight > most then
    return 'b', string.format('%.0f', weight)
  end
  if too_wide(fields) then
    return 'u'
  end
  local copy = stamped(fields, '0', '0')
  if not copy then
    return 'z'
  end
  local new = redis.call('XADD', input, '*', unpack(copy))
  local deleted = redis.pcall('XDEL', dead, id)
  if type(deleted) == 'table' and deleted.err then
    redis.pcall('XDEL', input, new)
    error(deleted.err, 0)
  end
  if referred then
    redis.pcall('XDEL', input, referred)
  end
  return 'm'
end

local verdicts, details = {}, {}
for i = 1, #ARGV - FIRST_ARG do
  local ok, verdict, detail = true, 't', nil
  if i == 1 or copied < budget then
    ok, verdict, detail = pcall(send, ARGV[FIRST_ARG + i])
  end
  if not ok then
    verdict, detail = 'x', message(verdict)
  end
  if detail then
    details[#details + 1], details[#details + 2] = i, detail
  end
  verdicts[i] = verdict
end
return { table.concat(verdicts), details }
