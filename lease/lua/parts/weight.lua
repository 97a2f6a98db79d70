-- Shared: the weight of entries.

-- What a field weighs besides its bytes. As lease.FieldWeight.
local FIELD_WEIGHT = 64

-- The total weight of fields.
local function weigh(fields)
  local total = FIELD_WEIGHT / 2 * #fields
  for i = 1, #fields do
    total = total + #fields[i]
  end
  return total
end
