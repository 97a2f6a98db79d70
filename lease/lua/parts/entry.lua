-- Shared: moving an entry that is pending.
--
-- Parts    clock value reply weight
--
-- The copy is written first and the original removed afterwards, because Lua does not roll back: a crash of the server between
-- the two leaves two announcements, never none.

-- XADD takes its arguments from Lua's stack, which holds 8,000.
local MAX_COPIED = 3900

-- The fields that a copy leaves out: they are rewritten, or out of date. An entry may come back from the dead letters.
local OURS = {
  _retry_count = true, _crash_count = true, _not_before = true,
  _reason = true, _original_id = true, _last_owner = true, _dead_at = true, _reference = true, _size = true,
}

-- The fields that a dead letter keeps of an entry with more fields than can be copied: the first of each name. An entry may
-- repeat a field thousands of times.
local KNOWN = { ['lbs-input'] = true }

-- How much of an announcement a dead letter by reference shows, in bytes.
local MAX_CUT = 4096

-- The delivery counts that distinguish an entry that was owned from one that was only read.
local HELD, READ = '2', '1'

-- The row of XPENDING for an entry that is pending, else nil.
local function find_pending(input, group, id)
  return redis.call('XPENDING', input, group, id, id, '1')[1]
end

-- The same if it is pending for this consumer.
local function is_pending(input, group, consumer, id)
  return redis.call('XPENDING', input, group, id, id, '1', consumer)[1]
end

-- The fields of an entry as a flat array, or nil if its body is gone.
local function body(input, id)
  local found = redis.call('XRANGE', input, id, id)[1]
  return found and found[2]
end

local function field(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
end

-- Reports whether fields are more than a copy can hold. Fields that a copy rewrites do not count: an entry must not become too
-- wide by being copied.
local function too_wide(fields)
  if #fields <= 2 * MAX_COPIED then
    return false
  end
  local n = 0
  for i = 1, #fields, 2 do
    if not OURS[fields[i]] then
      n = n + 1
    end
  end
  return n > MAX_COPIED
end

-- A copy of fields with these counts in place of the old ones; zero counts are not written. With only, it has just the first of
-- each field named there. Nil if nothing but counts is left: no entry can be made of that.
local function stamped(fields, retries, crashes, only)
  local copy, seen = {}, {}
  for i = 1, #fields, 2 do
    local name = fields[i]
    if not OURS[name] and (not only or only[name] and not seen[name]) then
      seen[name] = only
      copy[#copy + 1] = name
      copy[#copy + 1] = fields[i + 1]
    end
  end
  if #copy == 0 then
    return nil
  end
  if tonumber(retries) > 0 then
    copy[#copy + 1] = '_retry_count'
    copy[#copy + 1] = retries
  end
  if tonumber(crashes) > 0 then
    copy[#copy + 1] = '_crash_count'
    copy[#copy + 1] = crashes
  end
  return copy
end

-- The same, or nil and the verdict if fields cannot be copied.
local function copy_of(fields, retries, crashes)
  if too_wide(fields) then
    return nil, 'u'
  end
  return stamped(fields, retries, crashes), 'z'
end

-- Adds the weight of fields to to.moved, and returns it; the second result is the weight as text if it exceeds to.most (0: no
-- limit), else nil.
local function weigh_copy(to, fields)
  local weight = weigh(fields)
  to.moved = to.moved + weight
  return weight, to.most > 0 and weight > to.most and string.format('%.0f', weight) or nil
end

-- The time before which a copy of fields must not be handed out, in ms of this clock; 0: at once. The bounds are those of
-- CheckNotBefore in entry.go; tonumber alone would accept hexadecimal and infinity. Text that is not such a time is added to the
-- copy, so that its reader dead-letters it.
local EARLIEST, AHEAD = 1e11, 3653 * 86400000
local function not_before(fields, copy)
  local text = field(fields, '_not_before') or ''
  local at = tonumber(string.match(text, '^%+?(%d+)$') or '')
  if text ~= '' and at ~= 0 and not (at and at >= EARLIEST and at <= now + AHEAD) then
    copy[#copy + 1], copy[#copy + 2] = '_not_before', text
    return 0
  end
  return at or 0
end

-- When an entry is due that is delayed from now on, ms. Long delays are rounded up to a second, so that what is due at about the
-- same time is moved, read and acquired together; nobody waits for the exact end of a minute. Each partition has seconds of its
-- own, or all of them would be busy at the same time.
local LONG_DELAY, ROUND = 10000, 1000
local function due_after(to, delay)
  if delay < LONG_DELAY then
    return now + delay
  end
  to.phase = to.phase or tonumber(string.sub(redis.sha1hex(to.later), 1, 4), 16) % ROUND
  return math.ceil((now + delay - to.phase) / ROUND) * ROUND + to.phase
end

-- Reports whether the dead-letter stream is full.
local function is_full(to)
  return to.limit > 0 and not to.trim and redis.call('XLEN', to.dead) >= to.limit
end

-- Up to this limit the dead letters are trimmed exactly, which costs the server some 10 µs a letter more. Beyond it, whole nodes of
-- the stream are dropped, of 100 entries as servers are set by default: less than 1 % too many are kept.
local EXACT_TRIM = 10000

-- Adds a dead letter, and returns its ID.
local function add_letter(to, fields)
  if to.trim and to.limit > 0 then
    return redis.call('XADD', to.dead, 'MAXLEN', to.limit > EXACT_TRIM and '~' or '=', to.limit, '*', unpack(fields))
  end
  return redis.call('XADD', to.dead, '*', unpack(fields))
end

-- Puts fields where op says: 'q' the input stream, 'l' later (at ms of this clock), 'd' the dead letters. For to see targets in
-- disposition.lua. Returns the verdict and the command that takes the copy back.
local function put(to, id, fields, op, at)
  if op == 'd' then
    if not is_full(to) then
      return 'm', { 'XDEL', to.dead, add_letter(to, fields) }
    end
    op, at = 'full', due_after(to, to.full_delay)
  end
  if op == 'l' and at <= now then
    op = 'q'
  elseif op ~= 'l' and op ~= 'q' and op ~= 'full' then
    error('ERR unknown destination of an entry', 0)
  end
  if op == 'q' then
    local new = redis.call('XADD', to.input, '*', unpack(fields))
    return 'm', { 'XDEL', to.input, new }
  end
  local packed = cmsgpack.pack({ id, fields })
  redis.call('ZADD', to.later, at, packed)
  return op == 'full' and 'f' or 'm', { 'ZREM', to.later, packed }
end

-- Acknowledges and deletes the original after put; takes the copy back if that is refused.
local function remove(input, group, id, undo)
  or_undo(undo, 'XACK', input, group, id)
  redis.pcall('XDEL', input, id)
end

-- The text of an error caught by pcall: a string, or from Redis 7 on a table with err in it.
local function message(err)
  return type(err) == 'table' and err.err or tostring(err)
end

-- Calls give(i) for each item of a batch until to.moved has reached to.budget; the items after that are left. give returns a
-- verdict and perhaps details, and adds to to.moved. Returns the verdicts, one an item, and { index, details, … }.
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
  return table.concat(verdicts), details
end
