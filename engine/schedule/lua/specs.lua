-- Reads fields of one of the hashes of a partition: rows of schedules, or checkpoints.
--
-- KEYS     1 the hash
-- ARGV     1 bytes after which the answer ends  2… fields
-- Returns  { now, value or false, … }: at least one value; fewer than were asked for if they are long
-- Atomic   no need; a script because the answer must come from the master.
-- Parts    clock master

local answer, budget = { now }, tonumber(ARGV[1])
-- Deletes nothing, since no name is empty.
refuse_replica('HDEL', KEYS[1], '')
for i = 2, #ARGV do
  local value = redis.call('HGET', KEYS[1], ARGV[i])
  answer[i] = value
  budget = budget - (value and #value or 0)
  if budget <= 0 then
    break
  end
end
return answer
