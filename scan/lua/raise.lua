-- Ensures that tokens minted in a partition are greater than one that was minted elsewhere.
--
-- KEYS     1 token
-- ARGV     1 the greatest token minted elsewhere
-- Returns  'OK'
-- Atomic   so that a greater one is not lowered.
-- Parts    clock token
return redis.call('SET', KEYS[1], token_text(math.max(last_token(KEYS[1]), tonumber(ARGV[1]))))
