-- Shared: what distinguishes a server from its successor.
--
-- mode is 'info' (run_id, else CLUSTER MYID), or 'off' (never settle). nil: neither may be called.

local function server_id(mode)
  if mode == 'off' then
    return ''
  end
  local info = redis.pcall('INFO', 'server')
  if type(info) == 'string' then
    local id = string.match(info, 'run_id:(%w+)')
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
