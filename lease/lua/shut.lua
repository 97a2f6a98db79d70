-- Marks a lease as shut, because its owner is about to leave its stream, or takes the mark off.
--
-- KEYS     1 input stream  2 lease key
-- ARGV     1 consumer  2 group  3 settle mode  4 '1': mark it, '0': take the mark off  5 "<token> <entry>" of the lease
-- Returns  { verdict, mark }: k done, and the mark that done is to be given; l the lease is another's; m it is not there
-- Atomic   so that no lease is marked but mine, and a waiting entry that is noted meanwhile stays.
-- Parts    clock reply shut
--
-- An owner leaves in three steps, a producer sends in two:
--
--   owner    1 this script: shut              producer   a XADD to the stream
--            2 last ID of the stream; if it has not                b announce.lua: announces it, unless the lease is held
--              handled that, it opens the lease again                and not shut, or an announcement stands that is
--            3 done, only if the mark is still the same              not the owner's own
--
-- If b comes before 1, a comes before 2: the owner sees the message and stays. If b comes after 1, it finds the lease shut or free,
-- and the message is announced by an entry that 3 does not delete. So no message is left without either an owner or an announcement.
--
-- What can go wrong, and what follows:
--   The process dies after 1, or between 2 and 3: its entry is still pending, and recovered with the lease. The mark goes with it.
--   Step 3 has no answer: it is asked again. It may have run; then the entry is not pending, and the lease free or another's.
--   Step 3 is refused, and an earlier call of it, which timed out, arrives later: it must not be done then, since the owner has gone
--     on. It carries a mark that no lease gets again: each call of this script sets another one. A call of this script that arrives
--     late sets one that no done carries.
--   A failover forgets 1: 3 finds no mark. It forgets an announcement of b, and not 1: the mark names the old server, so 3 is refused,
--     and the owner looks once more; it finds the message. It forgets that 1 was taken back: as before.
--   A failover forgets the lease: verify sets it again, without the mark.
--   An older version notes a waiting entry: the mark is overwritten, and 3 refused. acquire.lua keeps it: what waits is handed out when
--     3 has freed the lease.
--   The mark is never taken off: senders announce more than they need to, which does no harm.
--   A slot migrates: TRYAGAIN, as for done. The owner stays until it has moved.

local input, key = KEYS[1], KEYS[2]
local me, group, mode, on, tag = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5]

-- Acknowledges nothing. A demoted server refuses it, before it can answer from outdated data.
redis.call('XACK', input, group, '0-0')

local value = lease_value(key)
if not value then
  return { 'm', '' }
end
local want = me .. ' ' .. tag
local holder = names(value, want) and parse(value)
if not holder then
  return { 'l', '' }
end
local mark = ''
if on then
  local id = server_id(mode)
  if not id then
    return redis.error_reply(NO_SERVER_ID)
  end
  mark = string.format('shut=%.0f@%s', micros, id)
end
redis.call('SET', key, with_tail(want, holder.waiting, on and mark), 'XX', 'KEEPTTL')
return { 'k', mark }
