-- Lists what is pending for consumers whose names begin with a prefix.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 prefix of the names  3 most entries a consumer  4 weight after which no more of a consumer are
--          looked at  5 longest announcement to answer
-- Returns  { consumer, { id, fields … as body.lua answers them, or false } … } a consumer; empty when there is no stream
--          or no group
-- Atomic   no need; a script because its answer must come from the master.
-- Parts    body

local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
local found = {}
if consumers.err then
  if string.find(consumers.err, 'no such key', 1, true) or string.find(consumers.err, 'NOGROUP', 1, true) then
    return found
  end
  return redis.error_reply(consumers.err .. ' (trying XINFO CONSUMERS on ' .. KEYS[1] .. ')')
end
for _, c in ipairs(consumers) do
  local name, pending
  for i = 1, #c, 2 do
    if c[i] == 'name' then
      name = c[i + 1]
    elseif c[i] == 'pending' then
      pending = c[i + 1]
    end
  end
  if pending > 0 and string.sub(name, 1, #ARGV[2]) == ARGV[2] then
    local page = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], name)
    found[#found + 1] = answer_page({ name }, KEYS[1], page, function(p)
      return { p[1] }
    end, tonumber(ARGV[4]), tonumber(ARGV[5]))
  end
end
return found
