-- Shared: the keys in which a fleet keeps how its streams are spread, if the script has them: input stream, books, load, fleet. They come
-- before the key of signals, and are taken out of KEYS, so that the script need not count them. Without them nothing is reported, and
-- nothing answered.
--
-- Parts    signalkey

local shared
if string.find(KEYS[#KEYS] or '', '^{[^{}]*}:fleet$') then -- a lease of a stream with such a name does not match
  local n = #KEYS
  shared = { input = KEYS[n - 3], books = KEYS[n - 2], load = KEYS[n - 1], fleet = KEYS[n] }
  for i = n - 3, n do
    KEYS[i] = nil
  end
end
