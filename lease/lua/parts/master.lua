-- Shared: scripts that only look must look at a master. A replica refuses any write, one without effect too; every other
-- error of it is left to the reads that follow, so that who may not write may still look.
local function refuse_replica(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and string.find(reply.err, 'READONLY', 1, true) then
    error(reply.err, 0)
  end
end
