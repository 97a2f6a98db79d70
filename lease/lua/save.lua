-- Stores a batch of checkpoints.
--
-- KEYS     1 checkpoints  2… lease keys
-- ARGV     1 the value of each lease, "<consumer> <token> <entry>", one a line  2 "!<consumer>"  3 number of the call: rises with
--          each call of this session that stores checkpoints  4… per lease: field and value
-- Returns  a verdict a lease: s stored; l the lease is another's; m it is not there (what that means only the caller knows); o a
--          later call was here, nothing was stored
-- Atomic   so that nobody but the owner stores anything, and no call puts an older checkpoint in the place of a newer one.
-- Parts    checkpoint value

begin_checkpoints(KEYS[1])
return store_checkpoints(KEYS[1], 2, refusals_of(redis.call('MGET', unpack(KEYS, 2)), ARGV[1]))
