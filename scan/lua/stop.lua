-- Records that a stopped service is to be deleted or repartitioned. From then on nobody starts to work with it.
--
-- KEYS     1 {<service>-input}:meta  2 sessions of partition 0
-- ARGV     1 state  2 the format that is there meanwhile  3 format version  4 operation  5 new number of partitions or ''
--          6 least number of partitions that may have something  7 '1': the record may be missing
-- Returns  { 'ok', number of partitions before or '', number of those that may have something, '1' if an operation was
--          under way }; or, if nothing was written, { 'living', number, '1' if an operation was under way }, { 'format', the
--          one that is there }, { 'unknown' }
-- Atomic   so that nobody opens a session between the check and the record. Of several operations the last one goes on; the
--          others find that the record is not theirs.
-- Parts    deadline living

keep_sessions(KEYS[2]) -- a full server is a reason to delete something

local meta = KEYS[1]
local known = redis.call('HMGET', meta, 'format', 'partitions', 'state', 'from', 'to')
local living = count_living(KEYS[2])
if living > 0 then
  return { 'living', living, known[3] and '1' or '0' }
end
if not known[3] and known[1] and known[1] ~= ARGV[3] then
  return { 'format', known[1] }
end
if not known[2] and ARGV[7] ~= '1' then
  return { 'unknown' }
end
local from = tonumber(ARGV[6])
for i = 2, 5 do
  if i ~= 3 then
    from = math.max(from, tonumber(known[i] or '') or 0)
  end
end
redis.call('HSET', meta, 'format', ARGV[2], 'partitions', known[2] or '', 'state', ARGV[1], 'operation', ARGV[4],
  'from', string.format('%.0f', from), 'to', ARGV[5])
return { 'ok', known[2] or '', from, known[3] and '1' or '0' }
