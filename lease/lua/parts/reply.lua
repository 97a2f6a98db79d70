-- Shared: error replies of redis.pcall.

-- The text of an error reply, else nil.
local function refused(reply)
  return type(reply) == 'table' and reply.err or nil
end

-- An error for a script to return, with the command that was refused.
local function trying(err, what)
  return redis.error_reply(err .. ' (trying ' .. what .. ')')
end

-- Runs a command after a copy was written. If it is refused, the command undo takes the copy back, and the error is raised: Lua
-- does not roll back.
local function or_undo(undo, ...)
  local err = refused(redis.pcall(...))
  if err then
    redis.pcall(unpack(undo))
    error(err, 0)
  end
end

-- Runs a command on a key. An error names the command, which the server does not do where a right is missing.
local function on_key(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  local err = refused(reply)
  if err then
    error(err .. ' (trying ' .. command .. ' on ' .. key .. ')', 0)
  end
  return reply
end
