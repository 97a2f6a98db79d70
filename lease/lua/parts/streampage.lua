-- Shared: a page of a stream, bounded in weight as well as in number.
--
-- Parts    weight

-- { greatest ID there is now ('' in an empty stream), { id, fields } … }, from first on ("(" before it: after it) up to last,
-- most entries at most. Once they weigh budget together, the page ends.
local function stream_page(stream, first, last, most, budget)
  local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', '1')[1]
  local answer = { newest and newest[1] or '' }
  for _ = 1, most do
    -- One at a time, since the weight of a page is not known beforehand.
    local found = redis.pcall('XRANGE', stream, first, last, 'COUNT', '1')
    if found.err then
      -- Nothing can come after the greatest ID, which is refused as an exclusive start.
      if #answer == 1 then
        return redis.error_reply(found.err)
      end
      break
    end
    local entry = found[1]
    if not entry then
      break
    end
    answer[#answer + 1] = entry
    budget = budget - weigh(entry[2])
    if budget <= 0 then
      break
    end
    first = '(' .. entry[1]
  end
  return answer
end
