-- Reads a page of what is pending for a consumer.
--
-- KEYS     1 input stream
-- ARGV     1 group  2 consumer  3 from this ID on ("(" before it: after it)  4 most entries  5 weight after which the
--          page ends  6 longest announcement to return
-- Returns  { id, idle ms, deliveries, false if the body is gone, else fields … as body.lua returns them } an entry;
--          empty without stream or group
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    master body info

refuse_replica('XACK', KEYS[1], ARGV[1], '0-0')
local page = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4], ARGV[2])
if page.err then
  if is_missing(page.err) then
    return {}
  end
  return redis.error_reply(page.err)
end
return answer_pending({}, KEYS[1], page, ARGV[5], ARGV[6])
