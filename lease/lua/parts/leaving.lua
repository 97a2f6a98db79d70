-- Shared: checkpoints of streams whose ownership ends.
--
-- Parts    checkpoint reply

-- What is to become of checkpoints, by the index of the item. ARGV has three values each from at on: index, w (store it), s (keep
-- what is stored) or - (delete it), and the checkpoint.
local function leavings(at)
  local wanted = {}
  for a = at, #ARGV, 3 do
    wanted[tonumber(ARGV[a])] = { op = ARGV[a + 1], checkpoint = ARGV[a + 2] }
  end
  return wanted
end

-- Reports whether an error lasts, whoever calls, until somebody grants a right or deletes a key. No ending must wait for that.
local function is_lasting(err)
  return string.find(err, 'WRONGTYPE', 1, true) or string.find(err, 'NOPERM', 1, true)
    or string.find(err, "can't run this command", 1, true) or string.find(err, 'ACL failure in script', 1, true)
end

-- Leaves a checkpoint behind with this tag. The caller has made sure that nobody else owns the stream. Returns s: it is as wanted; l: a
-- later owner left one; x and why: it cannot be stored, nor will it be if it is tried again. Raises every other error.
local function leave_checkpoint(hash, key, token, wanted, tag)
  local field = checkpoint_field(hash, key)
  local found = redis.pcall('HMGET', hash, field)
  local err = refused(found)
  local stored, checkpoint = not err and found[1], wanted.checkpoint
  if stored then
    local last, _, known = parse_checkpoint(stored)
    if not last then
      return 'x', not_a_checkpoint(hash, stored)
    end
    if tonumber(last) > tonumber(token) then
      return 'l'
    end
    if wanted.op == 's' then
      checkpoint = known
    end
  end
  if not err and wanted.op == '-' then
    err = stored and refused(redis.pcall('HDEL', hash, field))
  elseif not err and (wanted.op == 'w' or stored) then
    err = refused(redis.pcall('HSET', hash, field, token .. ' ' .. tag .. ' ' .. checkpoint))
  end
  if err and not is_lasting(err) then
    error(err, 0)
  end
  return err and 'x' or 's', err or nil
end

-- Appends to notes what leave_checkpoint returns for item i of a batch. It does nothing for one without a token of its own, and leaves no
-- checkpoint where the stream is another's.
local function leave(notes, i, hash, key, token, wanted, tag, free_or_mine)
  if not wanted or not string.find(token, '^%d') then
    return
  end
  local verdict, why = 'l', nil
  if free_or_mine then
    verdict, why = leave_checkpoint(hash, key, token, wanted, tag)
  end
  local n = #notes
  notes[n + 1], notes[n + 2], notes[n + 3] = i, verdict, why or ''
end
