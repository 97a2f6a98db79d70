-- Shared: signals, hints in a stream of the partition for whoever owns a data stream or waits for one. Losing one costs time and
-- nothing else, so nothing that concerns them may fail the script: a refusal is reported or passed over.
--
-- Parts    signalkey
--
-- An entry of the stream has the fields kind, stream and, for kind user, payload. What scripts add has several data streams:
--   announced   stream, token, stream, token …: another announcement waits for the lease that has this token
--   freed       stream, stream, …: a lease has ended for which another announcement waited
--   wish        nothing: what operators wish of processes has changed

-- How many entries are kept, at least, as lease.SignalsKept.
local SIGNALS_KEPT = '10000'
-- How many bytes of data streams' names and tokens go into one entry. Each process reads each entry.
local SIGNAL_BYTES = 3072

-- What this script has to announce: lease keys, and for announced their tokens in turn.
local announced, freed = {}, {}

-- Notes that another announcement waits for the lease of a key, from now on.
local function note_announced(key, token)
  announced[#announced + 1], announced[#announced + 2] = key, token
end

-- Notes that a lease was deleted, if another announcement waits for that.
local function note_freed(key, holder)
  if holder.waiting then
    freed[#freed + 1] = key
  end
end

local function add_signal(fields)
  local added = redis.pcall('XADD', signals, 'MAXLEN', '~', SIGNALS_KEPT, '*', unpack(fields))
  return type(added) == 'table' and added.err or nil
end

-- Adds what was noted, in few entries. keys has lease keys, each followed by each - 1 other values. Returns an error.
local function add_signals(input, kind, keys, each)
  local prefix = #input + 10 -- {input}:lease:
  local fields, bytes, err = { 'kind', kind }, 0, nil
  for i = 1, #keys, each do
    local stream = string.sub(keys[i], prefix)
    if stream ~= '' then
      local n = #fields
      fields[n + 1], fields[n + 2] = 'stream', stream
      bytes = bytes + #stream + 8
      if each == 2 then
        fields[n + 3], fields[n + 4] = 'token', keys[i + 1]
        bytes = bytes + #keys[i + 1] + 7
      end
    end
    if #fields > 2 and (bytes >= SIGNAL_BYTES or i + each > #keys) then
      err = add_signal(fields) or err
      fields, bytes = { 'kind', kind }, 0
    end
  end
  return err
end

-- Announces what was noted, once, at the end of a script. Returns why it was refused, '' if it was not.
local function send_signals(input)
  if not signals then
    return ''
  end
  local err = add_signals(input, 'announced', announced, 2)
  return add_signals(input, 'freed', freed, 1) or err or ''
end
