-- Shared: what distinguishes a server from its successor.
--
-- mode is 'info' (run_id, else CLUSTER MYID), or 'off' (never settle). nil: neither may be called.

local function server_id(mode)
  if mode == 'off' then
    return ''
  end
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'string' then
    -- Every beat pays for this, and a pattern is tried at each place of the text.
    local _, colon = string.find(info, 'run_id:', 1, true)
    local id = colon and string.match(info, '^%w+', colon + 1)
    if id then
      return id
    end
  end
  local id = redis.pcall('CLUSTER', 'MYID')
  if type(id) == 'string' then
    return id
  end
  return nil
end

local NO_SERVER_ID = 'NOSERVERID neither INFO nor CLUSTER MYID may be called: grant +info, or turn settling off'
