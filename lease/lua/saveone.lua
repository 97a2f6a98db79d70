-- Stores one checkpoint: save with a single key, for while a slot migrates and its keys are on two nodes.
--
-- KEYS     1 checkpoints
-- ARGV     1 token of the lease  2 "!<consumer>"  3 number of the call, as in save  4 field  5 value
-- Returns  s stored; o a later call was here; l a later owner has a checkpoint, or this one has given the stream back; t this owner
--          has none there, or no number: not before the slot has moved
-- Atomic   so that no call puts an older checkpoint in the place of a newer one.
-- Parts    checkpoint
--
-- The lease cannot be looked at. In its place stands the token of the checkpoint that is there, which acquire wrote: whoever owned
-- the stream since then wrote another one. The tag shows whether the ownership has ended.
--
-- Trace: an owner dies, its session is ended, and its number removed. Before somebody acquires the stream, a call of the dead one runs
-- late. Its token and tag are there still, and without a number to compare with it would put an older checkpoint in the place of a
-- newer one. So there must be a number, which acquire has written with the token, and which goes with the session.

local hash, mine, field = KEYS[1], ARGV[1], ARGV[4]

begin_checkpoints(hash)
local found = on_key('HMGET', hash, field, ARGV[2])
local stored = found[1]
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
if not found[2] then
  return 't'
end
return store_checkpoints(hash, 2)
