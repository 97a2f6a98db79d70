-- Shared: checkpoints that travel with a call for leases.
--
-- Parts    checkpoint

-- Stores checkpoints of leases. KEYS has, from first on, the leases of the call, other leases, and the checkpoints. ARGV has, from at on,
-- the number of leases of the call; the index of each of those with a checkpoint, in order; the values of the other leases, one a line;
-- and from at + 3 on what store_checkpoints takes: first the checkpoints of the leases of the call, then of the others. verdicts are
-- those on the leases of the call; nil: all are kept.
local function save_leases(first, at, verdicts, careful)
  local hash, other = KEYS[#KEYS], first + tonumber(ARGV[at])
  begin_checkpoints(hash)
  local refusals, n
  if verdicts then
    refusals, n = {}, 0
    for index in string.gmatch(ARGV[at + 1], '%d+') do
      n = n + 1
      local verdict = verdicts[tonumber(index)]
      refusals[n] = verdict ~= 'k' and verdict or nil
    end
  end
  if other < #KEYS then
    local more = refusals_of(on_key('MGET', unpack(KEYS, other, #KEYS - 1)), ARGV[at + 2])
    if more then
      n = (#ARGV - at - 4) / 2 - (#KEYS - other)
      refusals = refusals or {}
      for i, verdict in pairs(more) do
        refusals[n + i] = verdict
      end
    end
  end
  return store_checkpoints(hash, at + 3, refusals, careful)
end

-- Appends to answer the verdicts of store_checkpoints and '', or '' and an error. It comes last in a script and raises nothing: the
-- verdicts on the leases stand.
local function save_along(answer, first, at, verdicts, careful)
  local ok, saved = pcall(save_leases, first, at, verdicts, careful)
  answer[#answer + 1] = ok and saved or ''
  answer[#answer + 1] = ok and '' or tostring(saved)
  return answer
end
