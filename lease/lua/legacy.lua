-- Lists the entries that are pending for consumers whose names begin with a prefix.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 prefix of the names  3 most entries a consumer  4 weight after which no more of a consumer's
--          are read  5 longest announcement to return
-- Returns  { consumer, { id, fields … as body.lua returns them, or false } … } a consumer; empty if there is no stream or no
--          group
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    body info reply

local consumers = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
local found = {}
if consumers.err then
  if is_missing(consumers.err) then
    return found
  end
  return trying(consumers.err, 'XINFO CONSUMERS on ' .. KEYS[1])
end
for _, flat in ipairs(consumers) do
  local c = named(flat)
  if c.pending > 0 and string.sub(c.name, 1, #ARGV[2]) == ARGV[2] then
    local page = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], c.name)
    found[#found + 1] = answer_page({ c.name }, KEYS[1], page, function(p)
      return { p[1] }
    end, tonumber(ARGV[4]), tonumber(ARGV[5]))
  end
end
return found
