-- Shared: the part of an entry that is returned, which is no more than the caller needs: the announcement, our own counts, and
-- short fields of the producer. Other fields stay on the server, and so does the part of an announcement that is too long to be of use.
--
-- Parts    weight

-- An entry that weighs no more is returned whole. As lease.WholeWeight.
local WHOLE = 65536
-- Counts and times are far shorter.
local LONGEST_COUNT = 64

-- How much of a producer's own fields the owner gets, in bytes. As api.MaxFields.
local KEPT = 1024

local NEEDED = { _retry_count = true, _crash_count = true, _not_before = true }

-- The beginning of an announcement, which contains the name unless something long comes before it.
local SHORT_BEGINNING, LONG_BEGINNING = 4096, 135168
local function beginning(text)
  local short = string.sub(text, 1, SHORT_BEGINNING)
  if #text > #short and not string.find(short, '"DataStreamName"%s*:%s*"[^"]*"') then
    return string.sub(text, 1, LONG_BEGINNING)
  end
  return short
end

-- Appends to row what is returned of fields of the given weight: the fields; or the first of each that is needed and the producer's
-- own as far as they fit, the announcement cut to longest (0: so that it contains the name), followed by the weight, the number of fields and the length of
-- the announcement.
local function answer(row, fields, weight, longest)
  local n = #row
  if weight <= WHOLE then
    row[n + 1] = fields
    return row
  end
  local short, seen, length, left = {}, {}, 0, KEPT
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'lbs-input' and not seen[name] then
      seen[name], length = true, #value
      short[#short + 1], short[#short + 2] = name, longest == 0 and beginning(value) or string.sub(value, 1, longest)
    elseif NEEDED[name] and not seen[name] then
      seen[name] = true
      short[#short + 1], short[#short + 2] = name, string.sub(value, 1, LONGEST_COUNT)
    elseif #name + #value <= left and name ~= '' and name ~= 'lbs-input' and string.byte(name) ~= 95 then -- not '_'
      left = left - #name - #value
      short[#short + 1], short[#short + 2] = name, value
    end
  end
  row[n + 1], row[n + 2], row[n + 3], row[n + 4] = short, weight, #fields / 2, length
  return row
end

-- Appends to rows the entries of a page of XPENDING, in order, each in the table that before(p) returns, to which the body is
-- appended. It stops once they weigh budget together, so there may be fewer rows than the page has, but at least one unless the
-- page is empty. With longest below 0 no body is read, and 'unread' takes the place of each.
local function answer_page(rows, input, page, before, budget, longest)
  for _, p in ipairs(page) do
    local found = longest >= 0 and redis.call('XRANGE', input, p[1], p[1])[1]
    local row = before(p)
    if longest < 0 then
      row[#row + 1] = 'unread'
      rows[#rows + 1] = row
    elseif found then
      local weight = weigh(found[2])
      rows[#rows + 1] = answer(row, found[2], weight, longest)
      budget = budget - weight
    else
      row[#row + 1] = false
      rows[#rows + 1] = row
    end
    if budget <= 0 then
      break
    end
  end
  return rows
end

-- answer_page for the entries pending for one consumer: ID, idle ms and deliveries precede each body.
local function answer_pending(rows, input, page, budget, longest)
  return answer_page(rows, input, page, function(p)
    return { p[1], p[3], p[4] }
  end, tonumber(budget), tonumber(longest))
end
