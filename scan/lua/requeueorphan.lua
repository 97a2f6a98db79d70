-- Requeues one entry of a stream that nobody owns any more.
--
-- KEYS     1 input stream  2 sessions  3 later  4 lease key  5 the dead-letter stream if the entry may go there,
--          then signals, if any are to be added
-- ARGV     1 consumer for which it is pending  2 group  3 calling consumer  4 settle mode  5 gap threshold, ms
--          6 session TTL of adopted consumers, ms, unless a greater one is on record  7 limit of the dead-letter stream (0:
--          none)  8 '1': trim it  9 delay of entries that it refuses, ms  10 greatest weight of an entry that is copied (0: no
--          limit)
--          11… the entry as in requeue
-- Returns  as requeue; or, if nothing was done, { 'wait' }: nobody may be found dead now; { 'held', consumer }: it is alive
--          and owns the stream, or has the entry; { 'unknown', consumer }: the owner had no session and got one;
--          { 'other', consumer, entry }: the stream is owned for that entry; { 'x', why }
-- Atomic   so that an owner that sends a beat at this moment, or a consumer that acquires, is not robbed, and only one of
--          several callers succeeds.
-- Parts    clock record judge value disposition

local FIRST_ARG = 10

local input, sessions, later, key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local dead, group, me, id = ARGV[1], ARGV[2], ARGV[3], ARGV[FIRST_ARG + 1]

local waiting = must_wait(sessions, me, ARGV[4], ARGV[5])
if waiting then
  return waiting
end
local value = redis.call('GET', key)
local holder = value and parse(value)
if value and not holder then
  return { 'x', not_a_lease(key) }
end
local deadline = redis.call('ZSCORE', sessions, holder and holder.consumer or dead)
if deadline and tonumber(deadline) > now then
  return { 'held', holder and holder.consumer or dead }
end
if holder then
  if not deadline then
    -- Unknown, not dead. Without a lease that would not matter: nobody can own the stream then.
    adopt(sessions, holder.consumer, math.max(tonumber(ARGV[6]), greatest_ttl(sessions)))
    return { 'unknown', holder.consumer }
  end
  if holder.consumer ~= dead or holder.entry ~= id then
    return { 'other', holder.consumer, holder.entry }
  end
end
local to = targets(input, later, KEYS[5], 7, ARGV[10], 0)
return requeue_batch(input, group, dead, to, 1, 4, FIRST_ARG)
