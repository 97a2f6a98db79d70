-- Shared: checkpoints of streams whose ownership ends.
--
-- Parts    checkpoint

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

-- Leaves a checkpoint behind with this tag. The caller has made sure that nobody else owns the stream; mine: its lease is the caller's.
-- Returns s: it is as wanted; l: a later owner left one, or may have; x and why: what is stored cannot be read, and stays. Raises every
-- error.
--
-- Trace: an owner loses its lease, and its ending is on the way. The next owner drops the checkpoint, or leaves none, and is done. The
-- ending comes, finds the stream free, and no checkpoint with a token to compare its own with. Were its checkpoint stored, the next owner
-- would get what was dropped. A checkpoint that is there shows who owned the stream last, since acquire writes the token into it. So where
-- there is none, and the lease is gone, none is stored, which repeats what was done under that lease. A stamp in the place of a checkpoint
-- that was dropped would do as well, but drops are for streams that come and go, and each would leave one.
local function leave_checkpoint(hash, key, token, wanted, tag, mine)
  local field, checkpoint = checkpoint_field(hash, key), wanted.checkpoint
  local stored = on_key('HMGET', hash, field)[1]
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
  elseif wanted.op == 'w' and not mine then
    return 'l'
  end
  if wanted.op == '-' then
    if stored then
      on_key('HDEL', hash, field)
    end
  elseif wanted.op == 'w' or stored then
    on_key('HSET', hash, field, token .. ' ' .. tag .. ' ' .. checkpoint)
  end
  return 's'
end

-- Appends to notes what leave_checkpoint returns for item i of a batch, or x and why where that will not be otherwise if it is tried
-- again. It does nothing for one without a token of its own, and leaves no checkpoint where the stream is another's. Raises an error that
-- does not last: the item must wait. standing is the lease: MINE, FREE, or anything else for another's.
local MINE, FREE = 'mine', 'free'
local function leave(notes, i, hash, key, token, wanted, tag, standing)
  if not wanted or not string.find(token, '^%d') then
    return
  end
  local verdict, why = 'l', nil
  if standing == MINE or standing == FREE then
    local ok
    ok, verdict, why = pcall(leave_checkpoint, hash, key, token, wanted, tag, standing == MINE)
    if not ok and not is_lasting(verdict) then
      error(verdict, 0)
    elseif not ok then
      verdict, why = 'x', verdict
    end
  end
  local n = #notes
  notes[n + 1], notes[n + 2], notes[n + 3] = i, verdict, why or ''
end
