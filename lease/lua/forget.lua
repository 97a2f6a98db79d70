-- Removes the number of the calls that stored checkpoints, after a session was closed and its consumer removed.
--
-- KEYS     1 checkpoints
-- ARGV     1 consumer
-- Returns  nothing
-- Atomic   no need; a script so that nothing is written where there is no number. Not a part of close, which would have to wait where a
--          slot migrates and there are no checkpoints. What it leaves, the scanner removes.
-- Parts    checkpoint

forget_number(KEYS[1], ARGV[1])
