-- Requeues a page of what a dead consumer left pending.
--
-- KEYS     1 input stream  2 sessions  3 later  4 {S}:recover:<dead consumer>  5… lease keys, then the dead-letter
--          stream if an entry may go there, then signals, if any are to be added
-- ARGV     1 dead consumer  2 group  3 number of entries  4 limit of the dead-letter stream (0: none)
--          5 '1': trim it  6 delay of entries that it refuses, ms  7 calling consumer  8 settle mode  9 gap threshold, ms
--          10 how long the claim lasts, ms  11 greatest weight of an entry that is copied (0: no limit)  12 weight
--          after which the rest is left  13… per entry as in requeue
-- Returns  as requeue; or { 'alive' }, { 'wait' }, { 'busy' }: nothing was done, as in claimdead
-- Atomic   so that a consumer that was only late is not robbed: its session is checked in the same step. Each entry is copied,
--          acknowledged and deleted, and its lease freed, in one step.
-- Parts    deadline judge disposition

local FIRST_KEY, FIRST_ARG = 5, 12
local input, sessions, later, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local dead, group, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local me = ARGV[7]

local waiting = must_wait(sessions, me, ARGV[8], ARGV[9])
if waiting then
  return waiting
end
if not past_deadline(sessions, dead) then
  return { 'alive' }
end
if redis.call('GET', claim) ~= me then
  return { 'busy' }
end
redis.call('PEXPIRE', claim, ARGV[10])
local to = targets(input, later, KEYS[FIRST_KEY + count], 4, ARGV[11], ARGV[12])
return requeue_batch(input, group, dead, to, count, FIRST_KEY, FIRST_ARG)
