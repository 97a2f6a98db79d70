-- Shared: the server's clock, read once a script.
--   now     milliseconds since the epoch
--   micros  microseconds since the epoch; below 2^53 until the year 2255, so a Lua number holds it exactly
local clock = redis.pcall('TIME')
if clock.err then
  return redis.error_reply(clock.err .. ' (trying TIME)')
end
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local micros = clock[1] * 1000000 + clock[2]
