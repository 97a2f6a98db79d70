-- Shared: fencing tokens. They are formatted with %.0f: ".." would turn them into 1.79e+15.
--
-- Parts    clock

local function token_text(token)
  return string.format('%.0f', token)
end

local function last_token(key)
  return tonumber(redis.call('GET', key) or '0') or 0
end

-- Ensures that no token at or below floor is minted again: this server may have forgotten the greatest token that a client has
-- seen.
local function raise_token(key, floor)
  if floor > last_token(key) then
    redis.call('SET', key, token_text(floor))
  end
end

-- Reserves n tokens and returns the first.
local function mint(key, n)
  local first = math.max(last_token(key) + 1, micros)
  redis.call('SET', key, token_text(first + n - 1))
  return first
end
