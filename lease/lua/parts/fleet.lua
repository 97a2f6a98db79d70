-- Shared: what each consumer of a partition is, and the sums over all of them.
--
-- fleet has a row for each consumer that opened a session here: "<weight> <away> <over> <state>".
--   weight  thousandths: how much it is to hold, compared with others
--   away    streams that it holds here while it does not share, else 0
--   over    since when it holds too much, ms of its own clock; 0: it does not. For people
--   state   shares: it takes streams. Else why not: full, behind, paused, evacuating, draining
-- books has in sums "<weight> <full> <joins> <silent>", which one command reads with every beat: weight, of those that share; full, what is
-- away; joins, which grows when a row is added or removed; and silent, how many consumers have a session and no row, since their version
-- writes none: each counts as one of weight 1. What is written otherwise counts as nothing.
-- load has, for each consumer that shares, how full it is: streams of the whole process for a weight of 1.

-- What a row adds to the sums: weight and away. One that cannot be read adds nothing, nor does one with a number that nobody has
-- written in earnest, with which a sum would not fit into 64 bits.
local function counted(row)
  local weight, away, state = string.match(row or '', '^(%d+) (%d+) %d+ (%l+)$')
  if not state or #weight > 12 or #away > 12 then
    return 0, 0
  end
  if state == 'shares' then
    return tonumber(weight), 0
  end
  return 0, tonumber(away)
end

-- The four sums in books.
local function sums_in(text)
  local weight, full, joins, silent = string.match(text or '', '^(%d+) (%d+) (%d+) (%d+)$')
  return tonumber(weight or 0), tonumber(full or 0), tonumber(joins or 0), tonumber(silent or 0)
end

-- The text of the sums in books. None is below 0, nor greater than what was counted for a million consumers.
local function sums_text(...)
  local texts = {}
  for i, sum in ipairs({ ... }) do
    texts[i] = string.format('%.0f', math.max(0, math.min(sum, 1e15)))
  end
  return table.concat(texts, ' ')
end

-- Replaces a row by another one, false: none, and counts the difference. The row comes first: if the sums are refused, they are too low
-- until the scan adds them up, and do not grow with each call.
local function replace_row(keys, consumer, before, row)
  local weight, away = counted(row)
  local weight_before, away_before = counted(before)
  if row then
    redis.call('HSET', keys.fleet, consumer, row)
  else
    redis.call('HDEL', keys.fleet, consumer)
  end
  local weights, full, joins, silent = sums_in(redis.call('HGET', keys.books, 'sums'))
  joins = joins + ((row and before) and 0 or 1)
  redis.call('HSET', keys.books, 'sums', sums_text(weights + weight - weight_before, full + away - away_before, joins, silent))
  if weight == 0 then
    redis.call('ZREM', keys.load, consumer)
  end
end
