-- Shared: what entries weigh.

-- What a field weighs beyond its bytes; FieldWeight in batch.go.
local FIELD_WEIGHT = 64

-- What fields weigh together.
local function weigh(fields)
  local total = FIELD_WEIGHT / 2 * #fields
  for i = 1, #fields do
    total = total + #fields[i]
  end
  return total
end
