-- Shared: checkpoints of streams that begin to be owned.
--
-- Parts    checkpoint

-- Where the checkpoint begins in a stored value that parse_checkpoint knows, without making strings of its parts; else nil.
local function checkpoint_at(stored)
  return string.match(stored, '^%d+ [vr] ()') or string.match(stored, '^%d+ d%d+ ()')
end

-- Finds the checkpoints of the streams with verdict a, whose lease keys begin at KEYS[first_key] and which have these tokens, and
-- writes the token into each that it knows, for this consumer. Returns what was stored for each of those streams, false for nothing; {} if there is
-- nothing at all; or, in place of the list, why it is not known or could not be written.
--
-- The token lets the owner store a checkpoint by a script with no other key, and the new tag keeps it from being deleted. That script
-- needs the number of a session, too, so one that has none gets 0. An empty checkpoint is none, and is deleted: this owner would not know
-- that there is something to stamp when it is done.
local function hand_over(hash, consumer, verdicts, first_key, tokens)
  -- Whether the key exists: HMGET on it would cost a tenth of the script in a service without checkpoints.
  if redis.pcall('PTTL', hash) == -2 then
    return {}
  end
  local fields = {}
  for i = 1, #verdicts do
    if verdicts[i] == 'a' then
      fields[#fields + 1] = checkpoint_field(hash, KEYS[first_key + i - 1])
    end
  end
  if #fields == 0 then
    return {}
  end
  local count, number = #fields, '!' .. consumer
  fields[count + 1] = number
  local ok, found = pcall(on_key, 'HMGET', hash, unpack(fields))
  if not ok then
    return found
  end
  local numbered = table.remove(found)
  local flat, n, some, empty = {}, 0, false, {}
  for j = 1, count do
    local stored = found[j]
    if stored then
      some = true
      local at = checkpoint_at(stored)
      if at and at > #stored then
        empty[#empty + 1] = fields[j]
      elseif at then
        flat[n + 1], flat[n + 2] = fields[j], tokens[j] .. ' v ' .. string.sub(stored, at)
        n = n + 2
      end
    end
  end
  if n > 0 then
    if not numbered then
      flat[n + 1], flat[n + 2] = number, '0'
    end
    local written, err = pcall(on_key, 'HSET', hash, unpack(flat))
    if not written then
      return err
    end
  end
  if #empty > 0 then
    local deleted, err = pcall(on_key, 'HDEL', hash, unpack(empty))
    if not deleted then
      return err
    end
  end
  return some and found or {}
end
