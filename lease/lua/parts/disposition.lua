-- Shared: what becomes of one entry that is pending for a consumer, as lease/disposition.go names it.
-- The verdicts are those of requeue.lua.
--
-- Parts    clock value entry

-- Frees a lease that names this consumer and this entry.
local function free(me, key, value, id)
  local holder = value and parse(value)
  if holder and holder.consumer == me and holder.entry == id then
    redis.call('DEL', key)
  end
end

-- Appends to letter what every dead letter says.
local function signed(letter, me, id, reason)
  for name, value in pairs({ _reason = reason, _original_id = id, _last_owner = me, _dead_at = string.format('%.0f', now) }) do
    letter[#letter + 1] = name
    letter[#letter + 1] = value
  end
  return letter
end

-- The start of an entry's announcement.
local function cut_of(fields)
  return string.sub(field(fields, 'lbs-input') or '', 1, MAX_CUT)
end

-- Writes a dead letter that refers to an entry, which stays where it is: neither pending nor undelivered. What is copied
-- is short, whatever the entry is.
local function refer(input, group, me, to, key, value, id, retries, crashes, reason, size, cut)
  if to.limit > 0 and not to.trim and redis.call('XLEN', to.dead) >= to.limit then
    error('DLQFULL ' .. to.dead .. ' is at its limit, and ' .. id .. ' cannot be put off', 0)
  end
  local fields = { '_reference', id }
  if cut ~= '' then
    fields[3], fields[4] = 'lbs-input', cut
  end
  for name, count in pairs({ _size = size, _retry_count = retries, _crash_count = crashes }) do
    if (tonumber(count) or 0) > 0 then
      fields[#fields + 1] = name
      fields[#fields + 1] = string.format('%.0f', count)
    end
  end
  signed(fields, me, id, reason)
  local new
  if to.trim and to.limit > 0 then
    new = redis.call('XADD', to.dead, 'MAXLEN', '~', to.limit, '*', unpack(fields))
  else
    new = redis.call('XADD', to.dead, '*', unpack(fields))
  end
  local acked = redis.pcall('XACK', input, group, id)
  if type(acked) == 'table' and acked.err then
    redis.pcall('XDEL', to.dead, new)
    error(acked.err, 0)
  end
  free(me, key, value, id)
  return 'r'
end

-- Whether a pending entry has no body any more, found out without reading it; false where that cannot be.
-- From Redis 7 on XCLAIM drops such an entry. row is what XPENDING said of it, whose idle time stays.
local function is_gone(input, group, me, id, row)
  return redis.REDIS_VERSION_NUM and #redis.call('XCLAIM', input, group, me, '0', id, 'IDLE', tostring(row[3]), 'JUSTID') == 0
end

-- token is the one that the entry was held under, '*' for any of this consumer, '' for none. The others are as requeue.lua
-- takes them. What may not be handed out yet goes to later, whether or not who gives it up has read its time. The second
-- result says more of verdict b.
local function requeue(input, group, me, to, key, id, token, op, at, delay, retries, crashes, reason, size, cut)
  local value = lease_value(key)
  local holder = value and parse(value)
  if token ~= '*' and holder and holder.consumer == me and holder.entry == id and holder.token ~= token then
    return 'o'
  end
  local row = is_pending(input, group, me, id)
  if not row then
    free(me, key, value, id)
    return 'n'
  end
  if op == 'r' and size ~= 0 and not is_gone(input, group, me, id, row) then
    return refer(input, group, me, to, key, value, id, retries, crashes, reason, size, cut)
  end
  local fields = body(input, id)
  if not fields then
    redis.call('XACK', input, group, id)
    free(me, key, value, id)
    return 'g'
  end
  local weight = weigh(fields)
  to.moved = to.moved + weight
  if retries == '' then
    retries = field(fields, '_retry_count') or '0'
  end
  if crashes == '' then
    crashes = field(fields, '_crash_count') or '0'
  end
  retries, crashes = tonumber(retries) or 0, tonumber(crashes) or 0
  if op == 'r' then
    return refer(input, group, me, to, key, value, id, retries, crashes, reason, weight, cut_of(fields))
  end
  if to.most > 0 and weight > to.most then
    return 'b', string.format('%.0f', weight) .. ' ' .. cut_of(fields)
  end
  local copy
  if op == 'd' then
    copy = signed(stamped(fields, retries, crashes, too_wide(fields) and KNOWN or nil) or {}, me, id, reason)
  elseif too_wide(fields) then
    return 'u'
  else
    copy = stamped(fields, retries, crashes)
    if not copy then
      return 'z'
    end
  end
  if op ~= 'd' then
    local wanted = not_before(fields, copy)
    if wanted > now then
      op, at = 'l', math.max(at, wanted)
    end
  end
  local verdict, undo = put(to, id, copy, op, math.max(at, now + delay))
  remove(input, group, id, undo)
  free(me, key, value, id)
  return verdict
end

-- Has give(i) deal with each item of a batch until as much was moved as one script should; those after it are left. give
-- returns a verdict and what there is to say of it, and counts in to.moved.
local function in_turn(to, count, give)
  local verdicts, details = {}, {}
  to.moved = 0
  for i = 1, count do
    local ok, verdict, detail = true, 't', nil
    if i == 1 or to.moved < to.budget then
      ok, verdict, detail = pcall(give, i)
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
end

-- Gives up a batch whose items start in ARGV after first_arg, with their lease keys in KEYS from first_key on.
local REQUEUE_ARGS = 10
local function requeue_batch(input, group, me, to, count, first_key, first_arg)
  return in_turn(to, count, function(i)
    local a = first_arg + REQUEUE_ARGS * (i - 1)
    return requeue(input, group, me, to, KEYS[first_key + i - 1], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], tonumber(ARGV[a + 4]),
      tonumber(ARGV[a + 5]), ARGV[a + 6], ARGV[a + 7], ARGV[a + 8], tonumber(ARGV[a + 9]), ARGV[a + 10])
  end)
end
