-- What scripts get that miniredis does not give them: errors of redis.call that are tables, as in Redis 7, and numbers by strtod.
local sha, above = '@sha@', @above@
do
  local pcall_redis, number = redis.pcall, tonumber
  redis.call = function(...)
    local reply = pcall_redis(...)
    if type(reply) == 'table' and reply.err then
      reply.source, reply.line = '@user_script', 1
      error(reply, 0)
    end
    return reply
  end
  local infinite = { inf = math.huge, ['+inf'] = math.huge, ['-inf'] = -math.huge, infinity = math.huge, ['-infinity'] = -math.huge }
  tonumber = function(value, base)
    if base == nil or base == 10 then
      return number(value) or type(value) == 'string' and infinite[string.lower(value)] or nil
    end
    return number(value, base)
  end
end
local function run()
