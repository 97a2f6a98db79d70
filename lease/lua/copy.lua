-- Adds entries of another partition to the one that their streams belong to, once: a call that is repeated because its answer was
-- lost adds only what the first one did not.
--
-- KEYS     1 input stream  2 what was copied here for the calling consumer from that partition
-- ARGV     1 number of the call: increases with each call for this consumer and this partition  2 '1': no earlier call lost its
--          answer  3 how long to remember, ms  4… per entry: its ID, the number of its fields and values, and these
-- Returns  { a verdict an entry, { index, error, … } }: m it is here; x refused. Or { 'late' }: a later call has run, and
--          nothing was done
-- Atomic   so that what was added is remembered, whatever happens to the answer.

local input, copied = KEYS[1], KEYS[2]
local number = tonumber(ARGV[1])

local last, known = string.match(redis.call('GET', copied) or '0 ', '^(%d+) (.*)$')
if tonumber(last) >= number then
  return { 'late' }
end
if ARGV[2] == '1' then
  known = ''
end
local there = {}
for id in string.gmatch(known, '%S+') do
  there[id] = true
end

local verdicts, errors, ids = {}, {}, {}
local at = 4
while ARGV[at] do
  local id, n = ARGV[at], tonumber(ARGV[at + 1])
  local i = #verdicts + 1
  verdicts[i] = 'm'
  if not there[id] then
    local added = redis.pcall('XADD', input, '*', unpack(ARGV, at + 2, at + 1 + n))
    if type(added) == 'table' and added.err then
      errors[#errors + 1], errors[#errors + 2] = i, added.err
      verdicts[i] = 'x'
    else
      ids[#ids + 1] = id
    end
  end
  at = at + 2 + n
end
redis.call('SET', copied, ARGV[1] .. ' ' .. known .. table.concat(ids, ' ') .. ' ', 'PX', ARGV[3])
return { table.concat(verdicts), errors }
