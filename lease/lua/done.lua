-- Ends a batch of entries for good.
--
-- KEYS     1 input stream  2… lease keys
-- ARGV     1 consumer  2 group  3… per entry: its ID, and the token it was held under ('' for an entry never held)
-- Returns  { a verdict an entry, { index, error, … } }: d done; n not pending for me (asked again after a lost answer,
--          this may be our own success); o the stream is owned under another token; x refused
-- Atomic   so that what another consumer was given meanwhile is never acknowledged or freed.
-- Parts    clock value entry

local FIRST = 2
local input = KEYS[1]
local me, group = ARGV[1], ARGV[2]

-- Acknowledges nothing. A demoted server refuses it, before it can say of an entry it has not heard of that it is gone.
redis.call('XACK', input, group, '0-0')

local function done(key, id, token)
  local value = lease_value(key)
  local mine = value and names(value, me .. ' ' .. token .. ' ' .. id)
  if not is_pending(input, group, me, id) then
    if mine then
      redis.call('DEL', key)
    end
    return 'n'
  end
  if value and not mine and token ~= '' then
    return 'o'
  end
  -- In this order, a refusal of either leaves an entry that is pending still, to be asked for again.
  redis.call('XDEL', input, id)
  redis.call('XACK', input, group, id)
  if mine then
    redis.call('DEL', key)
  end
  return 'd'
end

local verdicts, errors = {}, {}
for i = 1, #KEYS - FIRST + 1 do
  local ok, verdict = pcall(done, KEYS[i + FIRST - 1], ARGV[1 + 2 * i], ARGV[2 + 2 * i])
  if not ok then
    errors[#errors + 1], errors[#errors + 2] = i, message(verdict)
    verdict = 'x'
  end
  verdicts[i] = verdict
end
return { table.concat(verdicts), errors }
