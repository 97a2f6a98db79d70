-- Shared: signals to the owners of schedules. Needs reply.

-- As lease.SignalsKept, and as in the signals that other scripts add.
local SIGNALS_KEPT, SIGNAL_BYTES = '10000', 3072

-- Tells the owners of schedules to look at their rows, in few signals. Returns an error if one was refused.
local function tell(signals, names)
  local fields, bytes = { 'kind', 'user' }, 0
  for i, name in ipairs(names) do
    fields[#fields + 1], fields[#fields + 2] = 'stream', name
    bytes = bytes + #name + 8
    if bytes >= SIGNAL_BYTES or i == #names then
      local err = refused(redis.pcall('XADD', signals, 'MAXLEN', '~', SIGNALS_KEPT, '*', unpack(fields)))
      if err then
        return err .. ' (trying XADD on ' .. signals .. ')'
      end
      fields, bytes = { 'kind', 'user' }, 0
    end
  end
end
