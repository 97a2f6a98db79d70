
end
local ok, value = pcall(run)
if ok then
  return value
elseif type(value) == 'table' and value.err then
  if not value.line then
    return redis.error_reply(value.err)
  end
  return redis.error_reply(string.format('%s script: %s, on @user_script:%d.', value.err, sha, value.line))
end
local line, text = string.match(tostring(value), '^:(%d+): (.*)$')
if line then
  text = string.format('user_script:%d: %s', line - above, text)
end
return redis.error_reply(string.format('ERR %s script: %s, on @user_script:%d.', text or tostring(value), sha, line and line - above or 1))
