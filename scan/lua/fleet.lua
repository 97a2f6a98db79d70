-- Reads how the consumers of a partition share its streams.
--
-- KEYS     1 input stream  2 sessions  3 books  4 load  5 fleet
-- ARGV     1 most rows
-- Returns  { entries of the input stream, weight × 1,000, streams that are away, { consumer that is alive and has no row, … },
--          { consumer, row, 1 if it is alive, else 0, fill or '', … } }; or { 'many', rows }: there are more rows than that, and they are
--          not read
-- Atomic   so that all is of one moment; a script because the answer must come from the master.
-- Parts    master clock checkpoint fleet
--
-- It takes time in proportion to the rows, so there is a limit: somebody may have written a million by hand.

local input, sessions, books, load, fleet = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local most = tonumber(ARGV[1])

refuse_replica('HDEL', fleet, '-')
local count = on_key('HLEN', fleet)
if count > most then
  return { 'many', count }
end
local rows, fills, alive = on_key('HGETALL', fleet), {}, {}
local flat = on_key('ZRANGE', load, 0, most - 1, 'WITHSCORES')
for i = 1, #flat, 2 do
  fills[flat[i]] = flat[i + 1]
end
local living = on_key('ZRANGEBYSCORE', sessions, '(' .. string.format('%.0f', now), '+inf', 'LIMIT', 0, 2 * most)
for _, consumer in ipairs(living) do
  alive[consumer] = true
end
local members, known, older = {}, {}, {}
for i = 1, #rows, 2 do
  local consumer, n = rows[i], #members
  members[n + 1], members[n + 2], members[n + 3], members[n + 4] = consumer, rows[i + 1], alive[consumer] and 1 or 0, fills[consumer] or ''
  known[consumer] = true
end
for _, consumer in ipairs(living) do
  if not known[consumer] then
    older[#older + 1] = consumer
  end
end
local weight, full = sums_in(on_key('HGET', books, 'sums'))
return { on_key('XLEN', input), string.format('%.0f', weight), string.format('%.0f', full), older, members }
