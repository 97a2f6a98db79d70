-- Shared: the key of signals, if the script has it. It is the last of the keys, and taken out of KEYS, so that the script need not count it.
-- Without it no signals are added, and none are looked for.

local signals = string.match(KEYS[#KEYS] or '', '^{[^{}]*}:signals$')
if signals then
  KEYS[#KEYS] = nil
end
