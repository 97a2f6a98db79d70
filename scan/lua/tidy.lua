-- Goes through a page of the checkpoints of a partition, and deletes what nobody needs: those of streams that were done, or whose dead
-- letter was dropped, long ago; and the numbers of sessions that are gone.
--
-- KEYS     1 sessions  2 checkpoints
-- ARGV     1 calling consumer  2 settle mode  3 gap threshold, ms  4 cursor ('0': from the start)  5 about how many to look at
--          6 how long to keep those checkpoints, ms ('0': for good)
-- Returns  { the next cursor ('0': that was the last page), checkpoints deleted, numbers deleted }, or { 'wait' }: nothing may be deleted
--          now
-- Atomic   so that no stream is acquired between the look at its checkpoint and the deletion.
-- Parts    judge checkpoint
--
-- After a change of server the owner of a stream may have to store its checkpoint again, and acquire's mark on it may be forgotten. So
-- nothing is deleted while the partition settles. A consumer without a session has been given one by then if it still is in the group.

local sessions, hash, keep = KEYS[1], KEYS[2], tonumber(ARGV[6])

local waiting = must_wait(sessions, ARGV[1], ARGV[2], ARGV[3])
if waiting then
  return waiting
end
if redis.call('PTTL', hash) == -2 then
  return { '0', 0, 0 } -- in a service without checkpoints no right is missed
end
local page = on_key('HSCAN', hash, ARGV[4], 'COUNT', ARGV[5])
local fields, flat, checkpoints = {}, page[2], 0
for i = 1, #flat, 2 do
  local kind, name = string.sub(flat[i], 1, 1), string.sub(flat[i], 2)
  if kind == 's' and keep > 0 then
    local _, tag = parse_checkpoint(flat[i + 1])
    local done = tag and string.match(tag, '^d(%d+)$')
    if done and now - tonumber(done) > keep then
      fields[#fields + 1] = flat[i]
      checkpoints = checkpoints + 1
    end
  elseif kind == '!' and not redis.call('ZSCORE', sessions, name) then
    fields[#fields + 1] = flat[i]
  end
end
-- A page of a hash that is stored as a list is all of it, and unpack takes 8,000.
for i = 1, #fields, 1000 do
  on_key('HDEL', hash, unpack(fields, i, math.min(i + 999, #fields)))
end
return { page[1], checkpoints, #fields - checkpoints }
