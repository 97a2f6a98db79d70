-- Shared: scripts that only look must look at a master. A replica refuses any write, one without effect too; every other
-- error of it is left to the reads that follow, so that who may not write may still look.
--
-- Parts    reply

local function refuse_replica(...)
  local err = refused(redis.pcall(...))
  if err and string.find(err, 'READONLY', 1, true) then
    error(err, 0)
  end
end
