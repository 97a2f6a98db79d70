-- Shared: the mark of a lease whose owner is about to leave. It ends the value of the lease's key: "shut=<µs>@<server id>", the time
-- at which this server set it, and the server's id ('' where settling is off).
--
-- Parts    server value

local this_server

-- Reports whether a lease with this value carries this very mark, set by this very server.
local function carries(value, mark)
  local holder = parse(value)
  if not holder or holder.shut ~= mark then
    return false
  end
  local id = string.match(mark, '@(%w*)$')
  if id ~= '' then
    this_server = this_server or server_id('info') or 'unknown'
  end
  return id == '' or id == this_server
end

-- The token of an item of done, and the mark without which it must not be done; nil: in any case.
local function split_token(text)
  local token, mark = string.match(text, '^(%S+) (shut=%S+)$')
  return token or text, mark
end
