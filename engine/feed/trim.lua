-- Deletes the messages of a stream that precede the last handled one, unless that is gone: then the stream may have been deleted
-- and begun again, and what is there may be unread.
--
-- KEYS[1]  the stream
-- ARGV[1]  ID of the last handled message
-- Returns  how many were deleted, -1 if the last handled one is gone.
--
-- Why atomic: between the look and the deletion, the stream could become another one.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return -1
end
return redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
