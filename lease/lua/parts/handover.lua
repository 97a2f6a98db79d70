-- Shared: checkpoints of streams that begin to be owned.
--
-- Parts    checkpoint token

-- Finds the checkpoints of the streams with verdict a, whose lease keys begin at KEYS[first_key] and whose tokens at token, and
-- writes the token into each. Returns { index, 'v', checkpoint, … } of those that have one; { index, 'x', why, … } of those whose
-- checkpoint is not known, which does not mean that there is none (index 0: all of them).
--
-- The token lets the owner store a checkpoint by a script with no other key, and the new tag keeps it from being deleted.
local function hand_over(hash, verdicts, first_key, token)
  local fields, owners = {}, {}
  for i = 1, #verdicts do
    if verdicts[i] == 'a' then
      fields[#fields + 1], owners[#owners + 1] = checkpoint_field(hash, KEYS[first_key + i - 1]), i
    end
  end
  if #fields == 0 then
    return {}
  end
  local ok, found = pcall(on_key, 'HMGET', hash, unpack(fields))
  if not ok then
    return { 0, 'x', found }
  end
  local answer, flat = {}, {}
  for j = 1, #fields do
    local stored = found[j]
    if stored then
      local known, _, checkpoint = parse_checkpoint(stored)
      local n = #answer
      if known then
        answer[n + 1], answer[n + 2], answer[n + 3] = owners[j], 'v', checkpoint
        flat[#flat + 1], flat[#flat + 2] = fields[j], token_text(token + j - 1) .. ' v ' .. checkpoint
      else
        answer[n + 1], answer[n + 2], answer[n + 3] = owners[j], 'x', not_a_checkpoint(hash, stored)
      end
    end
  end
  if #flat > 0 then
    local written, err = pcall(on_key, 'HSET', hash, unpack(flat))
    if not written then
      return { 0, 'x', err }
    end
  end
  return answer
end
