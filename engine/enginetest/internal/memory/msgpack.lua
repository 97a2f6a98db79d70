-- cmsgpack as Redis has it, as far as scripts use it: one value is packed, one is unpacked. MessagePack is big-endian.
local cmsgpack = (function()
  local char, byte, sub = string.char, string.byte, string.sub

  -- n as that many bytes.
  local function whole(n, size)
    local bytes = {}
    for i = size, 1, -1 do
      bytes[i] = char(n % 256)
      n = math.floor(n / 256)
    end
    return table.concat(bytes)
  end

  -- What follows of text is shown by the first of the kinds that is large enough: { tag, size of the length, most }.
  local function sized(kinds, n)
    for _, kind in ipairs(kinds) do
      if n <= kind[3] then
        return char(kind[1]) .. whole(n, kind[2])
      end
    end
    error('cmsgpack: too long', 0)
  end

  local STRINGS = { { 0xd9, 1, 0xff }, { 0xda, 2, 0xffff }, { 0xdb, 4, 0xffffffff } }
  local ARRAYS = { { 0xdc, 2, 0xffff }, { 0xdd, 4, 0xffffffff } }
  local MAPS = { { 0xde, 2, 0xffff }, { 0xdf, 4, 0xffffffff } }

  local function double(n)
    if n ~= n then
      return '\127\248\0\0\0\0\0\0'
    end
    local sign = 0
    if n < 0 then
      sign, n = 0x80, -n
    end
    if n == math.huge then
      return char(sign + 0x7f, 0xf0, 0, 0, 0, 0, 0, 0)
    end
    local mantissa, exponent = math.frexp(n)
    exponent = exponent + 1022
    if exponent < 1 then
      mantissa, exponent = math.ldexp(mantissa, exponent), 0
    else
      mantissa = mantissa * 2 - 1
    end
    local high = math.floor(mantissa * 0x100000)
    local low = (mantissa * 0x100000 - high) * 0x100000000
    return char(sign + math.floor(exponent / 16), (exponent % 16) * 16 + math.floor(high / 0x10000)) .. whole(high % 0x10000, 2) .. whole(low, 4)
  end

  local function number(n)
    if n ~= math.floor(n) or n >= 2 ^ 63 or n < -2 ^ 63 then
      return char(0xcb) .. double(n)
    end
    if n >= 0 then
      if n < 128 then
        return char(n)
      end
      return sized({ { 0xcc, 1, 0xff }, { 0xcd, 2, 0xffff }, { 0xce, 4, 0xffffffff }, { 0xcf, 8, 2 ^ 63 } }, n)
    end
    if n >= -32 then
      return char(256 + n)
    end
    for _, kind in ipairs({ { 0xd0, 1 }, { 0xd1, 2 }, { 0xd2, 4 }, { 0xd3, 8 } }) do
      local span = 256 ^ kind[2]
      if n >= -span / 2 then
        return char(kind[1]) .. whole(span + n, kind[2])
      end
    end
  end

  local function pack(v)
    local kind = type(v)
    if kind == 'string' then
      return (#v < 32 and char(0xa0 + #v) or sized(STRINGS, #v)) .. v
    elseif kind == 'number' then
      return number(v)
    elseif kind == 'boolean' then
      return char(v and 0xc3 or 0xc2)
    elseif kind ~= 'table' then
      return char(0xc0)
    end
    local parts, count = {}, 0
    for _ in pairs(v) do
      count = count + 1
    end
    if count == #v then
      parts[1] = count < 16 and char(0x90 + count) or sized(ARRAYS, count)
      for i = 1, count do
        parts[i + 1] = pack(v[i])
      end
    else
      parts[1] = count < 16 and char(0x80 + count) or sized(MAPS, count)
      for key, value in pairs(v) do
        parts[#parts + 1] = pack(key) .. pack(value)
      end
    end
    return table.concat(parts)
  end

  local function unpacker(text)
    local at = 1

    local function take(n)
      if at + n - 1 > #text then
        error('Missing bytes in input.', 0)
      end
      at = at + n
      return sub(text, at - n, at - 1)
    end

    local function unsigned(size)
      local n = 0
      for i = 1, size do
        n = n * 256 + byte(take(1))
      end
      return n
    end

    local function signed(size)
      local n = unsigned(size)
      return n >= 256 ^ size / 2 and n - 256 ^ size or n
    end

    -- A float of that many bits for the exponent and the mantissa.
    local function float(size, bits)
      local high = unsigned(4)
      local low = size == 8 and unsigned(4) or 0
      local sign = high >= 2 ^ 31 and -1 or 1
      local scale = 2 ^ (31 - bits)
      local exponent = math.floor(high % 2 ^ 31 / scale)
      local fraction = (high % scale + low / 2 ^ 32) / scale
      local top = 2 ^ bits - 1
      if exponent == top then
        return fraction == 0 and sign * math.huge or 0 / 0
      elseif exponent == 0 then
        return sign * math.ldexp(fraction, 2 - 2 ^ (bits - 1))
      end
      return sign * math.ldexp(1 + fraction, exponent - (2 ^ (bits - 1) - 1))
    end

    local value

    local function array(n)
      local t = {}
      for i = 1, n do
        t[i] = value()
      end
      return t
    end

    local function map(n)
      local t = {}
      for _ = 1, n do
        local key = value()
        t[key] = value()
      end
      return t
    end

    local by_tag = {
      [0xc0] = function() return nil end,
      [0xc2] = function() return false end,
      [0xc3] = function() return true end,
      [0xca] = function() return float(4, 8) end,
      [0xcb] = function() return float(8, 11) end,
    }
    for i = 0, 3 do
      local size = 2 ^ i
      by_tag[0xcc + i] = function() return unsigned(size) end
      by_tag[0xd0 + i] = function() return signed(size) end
    end
    for i = 0, 2 do
      local size = 2 ^ i
      by_tag[0xc4 + i] = function() return take(unsigned(size)) end
      by_tag[0xd9 + i] = function() return take(unsigned(size)) end
    end
    for i = 0, 1 do
      local size = 2 ^ (i + 1)
      by_tag[0xdc + i] = function() return array(unsigned(size)) end
      by_tag[0xde + i] = function() return map(unsigned(size)) end
    end

    function value()
      local tag = byte(take(1))
      if tag < 0x80 then
        return tag
      elseif tag < 0x90 then
        return map(tag - 0x80)
      elseif tag < 0xa0 then
        return array(tag - 0x90)
      elseif tag < 0xc0 then
        return take(tag - 0xa0)
      elseif tag >= 0xe0 then
        return tag - 256
      end
      local read = by_tag[tag]
      if not read then
        error('Bad data format in input.', 0)
      end
      return read()
    end

    return value, function() return at > #text end
  end

  return {
    pack = pack,
    unpack = function(text)
      local value, finished = unpacker(text)
      local values = {}
      local n = 0
      while not finished() do
        n = n + 1
        values[n] = value()
      end
      return unpack(values, 1, n)
    end,
  }
end)()
