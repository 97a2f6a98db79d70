-- Shared: looking for signals.
--
-- Parts    clock signalkey

-- The position after all signals that there are now, as the script sees it: before any that comes later.
local function position_now()
  return string.format('%.0f-18446744073709551615', now - 1)
end

-- What a beat answers about signals: the ID of the first one after position, '' if there is none, or "@<position>" if the caller
-- has no position yet, or one of a time that has not come, since the clock was set back; or "!<error>". It reads one entry that the caller has not seen, or none: the last one, which every beat would
-- read, may have 4 KB.
local function look_for_signals(position)
  local ms = string.match(position, '^(%d+)%-18446744073709551615$')
  if position == '' or ms and tonumber(ms) > now then
    return '@' .. position_now()
  end
  if not signals then
    return ''
  end
  local page = redis.pcall('XRANGE', signals, '(' .. position, '+', 'COUNT', '1')
  if page.err then
    return '!' .. page.err
  end
  return page[1] and page[1][1] or ''
end
