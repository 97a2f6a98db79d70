-- Shared: looking for the announcements of a stream without parsing them.

-- Reports whether an announcement may be one that contains a text, which is of letters and digits ('': any). It may have any letter in
-- JSON's other form, such as \u0061; then it is left to the caller.
local function may_contain(announcement, text)
  return text == '' or string.find(announcement, text, 1, true) or string.find(announcement, '\\u00', 1, true)
end
