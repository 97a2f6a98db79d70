-- Shared: replies of redis.pcall that are errors.

-- The error that a reply is, else nil.
local function refused(reply)
  return type(reply) == 'table' and reply.err or nil
end

-- An error as a script returns it, with the command that was refused.
local function trying(err, what)
  return redis.error_reply(err .. ' (trying ' .. what .. ')')
end

-- Runs the command that comes after a copy was written. Where it is refused, the command undo takes the copy back, and the
-- error is raised: Lua does not roll back.
local function or_undo(undo, ...)
  local err = refused(redis.pcall(...))
  if err then
    redis.pcall(unpack(undo))
    error(err, 0)
  end
end
