-- Shared: scripts that only read must read from a master. A replica refuses every write, even one without effect; all other
-- errors are left to the reads that follow, so that a user without the right to write may still read.
--
-- Parts    reply

local function refuse_replica(...)
  local err = refused(redis.pcall(...))
  if err and string.find(err, 'READONLY', 1, true) then
    error(err, 0)
  end
end
