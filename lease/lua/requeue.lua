-- Requeues a batch of entries: back to the input stream, to later, or to the dead letters.
--
-- KEYS     1 input stream  2 sessions  3 later  4… lease keys, then the dead-letter stream if an entry may go there, then checkpoints
--          if there are some, then signals, if any are to be added
-- ARGV     1 consumer  2 group  3 number of entries  4 limit of the dead-letter stream (0: none)
--          5 '1': trim it to the limit instead of refusing  6 delay of entries that it refuses, ms  7 greatest weight of an
--          entry that is copied (0: no limit)  8 weight after which the rest is left
--          9… per entry: its ID; the token it was held under ('*': any of ours, '': never held);
--             q, l, d, or r: a dead letter that refers to it; due time, ms (for l, 0: from the delay alone); delay, ms;
--             retry count; crash count; reason (for d and r); for r its weight and the start of its announcement (0 and '':
--             read here; -1: not read, and left out of the letter); counts '' stay as they are; then what is to become of checkpoints,
--          as leavings takes it
-- Returns  { a verdict an entry, { index, error, … }, { index, verdict, why, … } of checkpoints as leave_checkpoint returns them }: m moved, with the ms until it is due in place of the error if it is
--          delayed; n not pending for me; o the stream is owned under
--          another token; g gone: the body was deleted; f the dead letters are full, delayed; u more fields than can
--          be copied, z none at all: dead-letter it; b too heavy to be copied: refer to it, with its weight and the start of
--          its announcement in place of the error; r a dead letter refers to it; t left for the next call; x refused,
--          nothing changed
-- Atomic   so that the copy, the acknowledgement, the deletion and the freed lease are one step for everybody else.
-- Parts    deadline disposition leaving

local FIRST = 4
local input, sessions, later = KEYS[1], KEYS[2], KEYS[3]
local me, group, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local to = targets(input, later, KEYS[FIRST + count], 4, ARGV[7], ARGV[8])

keep_sessions(sessions)

local wanted, notes = leavings(9 + REQUEUE_ARGS * count), {}
local answer = requeue_batch(input, group, me, to, count, FIRST, 8, function(i)
  return wanted[i] and function(key, token, mine, free)
    leave(notes, i, KEYS[#KEYS], key, token, wanted[i], 'r', mine and MINE or free and FREE)
  end
end)
answer[3] = notes
return answer
