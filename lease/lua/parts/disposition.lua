-- Shared: carrying out a Disposition (lease/disposition.go) of entries that are pending for a consumer. The verdicts are those of
-- requeue.lua.
--
-- Parts    clock value entry signal

-- The places where entries may go, for put and requeue. ARGV has, from at on, the limit of the dead-letter stream (0: none), '1'
-- to trim it instead of refusing, and the delay of entries that it refuses, ms.
local function targets(input, later, dead, at, most, budget)
  return {
    input = input,
    later = later,
    dead = dead,
    limit = tonumber(ARGV[at]),
    trim = ARGV[at + 1] == '1',
    full_delay = tonumber(ARGV[at + 2]),
    most = tonumber(most),
    budget = tonumber(budget),
  }
end

-- Frees the lease if holder, as held_by returns it, is there.
local function free(key, holder)
  if holder then
    redis.call('DEL', key)
    note_freed(key, holder)
  end
end

-- Appends to letter the fields of every dead letter.
local function signed(letter, me, id, reason)
  for _, part in ipairs({ { '_reason', reason }, { '_original_id', id }, { '_last_owner', me }, { '_dead_at', string.format('%.0f', now) } }) do
    if part[2] then
      letter[#letter + 1] = part[1]
      letter[#letter + 1] = part[2]
    end
  end
  return letter
end

-- The start of an entry's announcement.
local function cut_of(fields)
  return string.sub(field(fields, 'lbs-input') or '', 1, MAX_CUT)
end

-- Writes a dead letter that refers to an entry, which stays where it is, neither pending nor undelivered. The letter is short,
-- whatever the entry is.
local function refer(input, group, me, to, key, holder, id, retries, crashes, reason, size, cut)
  if is_full(to) then
    error('DLQFULL ' .. to.dead .. ' is at its limit, and ' .. id .. ' cannot be delayed', 0)
  end
  local fields = { '_reference', id }
  if cut ~= '' then
    fields[3], fields[4] = 'lbs-input', cut
  end
  for _, count in ipairs({ { '_size', size }, { '_retry_count', retries }, { '_crash_count', crashes } }) do
    if (tonumber(count[2]) or 0) > 0 then
      fields[#fields + 1] = count[1]
      fields[#fields + 1] = string.format('%.0f', count[2])
    end
  end
  signed(fields, me, id, reason)
  or_undo({ 'XDEL', to.dead, add_letter(to, fields) }, 'XACK', input, group, id)
  free(key, holder)
  return 'r'
end

-- A copy of fields for the place that op names; or nil, and the verdict if it cannot be copied. Anything can be dead-lettered.
local function copy_for(op, fields, retries, crashes, me, id, reason)
  if op == 'd' then
    return signed(stamped(fields, retries, crashes, too_wide(fields) and KNOWN or nil) or {}, me, id, reason)
  end
  return copy_of(fields, retries, crashes)
end

-- Reports whether the body of a pending entry is gone, without reading it; false if that cannot be found out. From Redis 7 on
-- XCLAIM drops such an entry. row is its row of XPENDING; its idle time is kept.
local function is_gone(input, group, me, id, row)
  return redis.REDIS_VERSION_NUM and #redis.call('XCLAIM', input, group, me, '0', id, 'IDLE', tostring(row[3]), 'JUSTID') == 0
end

-- token is the one that the entry was held under, '*' for any of this consumer, '' for none. The other arguments are those of
-- requeue.lua. An entry that must not be handed out yet goes to later, even if the caller has not read its time. save, if any, is
-- called for the checkpoint before anything is moved, so that whoever gets the stream finds it. The second result has the details of
-- verdict b, and for an entry that is delayed now the ms until it is due.
local function requeue(input, group, me, to, key, id, token, op, at, delay, retries, crashes, reason, size, cut, save)
  local value = lease_value(key)
  local holder = held_by(value, me, id)
  if token ~= '*' and holder and holder.token ~= token then
    return 'o'
  end
  local row = is_pending(input, group, me, id)
  if not row then
    free(key, holder)
    return 'n'
  end
  if save then
    save(key, token, holder, not value)
  end
  if op == 'r' and size ~= 0 and not is_gone(input, group, me, id, row) then
    return refer(input, group, me, to, key, holder, id, retries, crashes, reason, size, cut)
  end
  local fields = body(input, id)
  if not fields then
    redis.call('XACK', input, group, id)
    free(key, holder)
    return 'g'
  end
  local weight, too_much = weigh_copy(to, fields)
  if retries == '' then
    retries = field(fields, '_retry_count') or '0'
  end
  if crashes == '' then
    crashes = field(fields, '_crash_count') or '0'
  end
  retries, crashes = tonumber(retries) or 0, tonumber(crashes) or 0
  if op == 'r' then
    return refer(input, group, me, to, key, holder, id, retries, crashes, reason, weight, cut_of(fields))
  end
  if too_much then
    return 'b', too_much .. ' ' .. cut_of(fields)
  end
  local copy, why_not = copy_for(op, fields, retries, crashes, me, id, reason)
  if not copy then
    return why_not
  end
  if op ~= 'd' then
    local wanted = not_before(fields, copy)
    if wanted > now then
      op, at = 'l', math.max(at, wanted)
    end
  end
  local due = math.max(at, due_after(to, delay))
  local verdict, undo = put(to, id, copy, op, due)
  remove(input, group, id, undo)
  free(key, holder)
  return verdict, verdict == 'm' and op == 'l' and due > now and string.format('%.0f', due - now) or nil
end

-- Requeues a batch whose items start in ARGV after first_arg, with their lease keys in KEYS from first_key on. save(i), if
-- any, returns what requeue calls for item i.
local REQUEUE_ARGS = 10
local function requeue_batch(input, group, me, to, count, first_key, first_arg, save)
  local verdicts, details = in_turn(to, count, function(i)
    local a = first_arg + REQUEUE_ARGS * (i - 1)
    return requeue(input, group, me, to, KEYS[first_key + i - 1], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], tonumber(ARGV[a + 4]),
      tonumber(ARGV[a + 5]), ARGV[a + 6], ARGV[a + 7], ARGV[a + 8], tonumber(ARGV[a + 9]), ARGV[a + 10], save and save(i))
  end)
  send_signals(input)
  return { verdicts, details }
end
