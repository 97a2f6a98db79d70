-- Ends a batch of entries for good.
--
-- KEYS     1 input stream  2… lease keys, then checkpoints if there are some, then signals, if any are to be added
-- ARGV     1 consumer  2 group  3 number of entries  4… per entry: its ID, and the token it was held under ('' for an entry never
--          held; with " <mark>": only while the lease carries that mark of shut.lua); then what is to become of checkpoints, as
--          leavings takes it
-- Returns  { a verdict an entry, { index, error, … }, { index, verdict, why, … } of checkpoints as leave_checkpoint returns them }:
--          d done; n not pending for me (if the call was repeated after a lost answer, this may be our own success), but d if the
--          lease is mine under this token and the entry pending for nobody; o the stream is owned under another token; y the lease
--          does not carry the mark, nothing changed; x refused
-- Atomic   so that nothing that another consumer was given meanwhile is acknowledged or freed.
-- Parts    clock value entry leaving signal shut

local FIRST = 2
local input = KEYS[1]
local me, group, count = ARGV[1], ARGV[2], tonumber(ARGV[3])

-- Acknowledges nothing. A demoted server refuses it, before it can report an entry as gone that it has not received.
redis.call('XACK', input, group, '0-0')

-- The verdict on an entry, or nil: it is pending for me, and its stream is mine or free; and the lease if it is mine. The whole
-- batch is judged before any entry is ended.
local function judge(key, id, token, mark)
  local value = lease_value(key)
  local mine = value and names(value, me .. ' ' .. token .. ' ' .. id)
  if mark and (mine and not carries(value, mark) or not value and is_pending(input, group, me, id)) then
    return 'y', false
  end
  if not is_pending(input, group, me, id) then
    if mine and not find_pending(input, group, id) then
      -- Acknowledged by hand, or removed with its consumer: what is left of it is deleted.
      return nil, mine and parse(value)
    end
    return 'n', mine and parse(value)
  end
  if value and not mine and token ~= '' then
    return 'o', false
  end
  return nil, mine and parse(value)
end

local verdicts, errors = {}, {}

local function refuse(i, err)
  errors[#errors + 1], errors[#errors + 2] = i, message(err)
  verdicts[i] = 'x'
end

-- The stream is done, and so is its checkpoint, which is kept for a while.
local wanted, notes, tag = leavings(4 + 2 * count), {}, 'd' .. string.format('%.0f', now)

local ids, keys, indices = {}, {}, {}
for i = 1, count do
  local key, id, token, mark = KEYS[i + FIRST - 1], ARGV[2 + 2 * i], split_token(ARGV[3 + 2 * i])
  local ok, verdict, mine = pcall(judge, key, id, token, mark)
  if ok and wanted[i] and not verdict then
    local left, err = pcall(leave, notes, i, KEYS[#KEYS], key, token, wanted[i], tag, mine and MINE or FREE)
    ok, verdict = left, err
  end
  if ok then
    verdicts[i] = verdict or 'd'
    if not verdict then
      ids[#ids + 1] = id
    end
    if mine then
      keys[#keys + 1] = key
      note_freed(key, mine)
    end
    if mine or not verdict then
      indices[#indices + 1] = i
    end
  else
    refuse(i, verdict)
  end
end

-- In this order, a refusal leaves entries still pending, or leases still there: the call is repeated.
local function finish()
  if #ids > 0 then
    redis.call('XDEL', input, unpack(ids))
    redis.call('XACK', input, group, unpack(ids))
  end
  if #keys > 0 then
    redis.call('DEL', unpack(keys))
  end
end

local ok, err = pcall(finish)
if not ok then
  for _, i in ipairs(indices) do
    refuse(i, err)
  end
else
  send_signals(input)
end
return { table.concat(verdicts), errors, notes }
