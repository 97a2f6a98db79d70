-- Stores one checkpoint: save with a single key, for while a slot migrates and its keys are on two nodes.
--
-- KEYS     1 checkpoints
-- ARGV     1 token of the lease  2 "!<consumer>"  3 number of the call, as in save  4 field  5 value
-- Returns  s stored; o a later call was here; l a later owner has a checkpoint, or this one has given the stream back; t this owner
--          has none there: not before the slot has moved
-- Atomic   so that no call puts an older checkpoint in the place of a newer one.
-- Parts    checkpoint
--
-- The lease cannot be looked at. In its place stands the token of the checkpoint that is there, which acquire wrote: whoever owned
-- the stream since then wrote another one. The tag shows whether the ownership has ended.

local hash, mine, field = KEYS[1], ARGV[1], ARGV[4]

begin_checkpoints(hash)
local stored = on_key('HMGET', hash, field)[1]
if not stored then
  return 't'
end
local token, tag = parse_checkpoint(stored)
if not token then
  return redis.error_reply(not_a_checkpoint(hash, stored))
end
if token ~= mine or tag ~= 'v' then
  return (token == mine or tonumber(token) > tonumber(mine)) and 'l' or 't'
end
return store_checkpoints(hash, 2)
