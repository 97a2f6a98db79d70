package model

import (
	"math/rand/v2"

	"github.com/streamlease/streamlease/lease"
)

// parts are what consumers report about themselves, at random: whatever it is, it changes no ownership.
var parts = []lease.Role{
	lease.RoleShares, lease.RoleShares, lease.RoleShares, lease.RoleFull, lease.RoleBehind, lease.RolePaused, lease.RoleEvacuating, lease.RoleDraining,
}

// connectBalance has the calls of all consumers report. What they are answered is not used: it decides only who reads.
func (h *harness) connectBalance() {
	r := rand.New(rand.NewPCG(1, 2)) // its own: how often it is asked depends on the time that really passes
	h.balance = lease.NewBalance(h.layout, lease.NewClock(), func(int) lease.Standing {
		return lease.Standing{
			Role: parts[r.IntN(len(parts))], Weight: []float64{1, 1, .01, 2.5, 1000}[r.IntN(5)], Held: r.IntN(3 * streams), Here: r.IntN(streams),
			Waits: r.IntN(2) == 0,
		}
	}, func(int, lease.Fleet) {}, func(_ int, err error) { h.T.Errorf("the keys of the balance are refused: %v", err) })
}

// report has some calls of the next ones report, which goes by the time that really passes otherwise.
func (r *run) report() {
	if r.rand.IntN(3) == 0 {
		r.h.balance.ReportNow(0)
	}
}

// leave takes a session that is over out of the fleet, or one that is not, which does nothing. Like tally it may run late, and twice.
func (c *consumer) leave() {
	r := c.r
	names := append([]string{c.name}, r.proven...)
	for _, other := range r.consumers {
		names = append(append(names, other.name), other.retiring...)
	}
	name := names[r.rand.IntN(len(names))]
	c.send("leave", func() func() {
		r.ok(r.h.store.Leave(r.h.ctx, 0, name))
		return func() {}
	})
}

// tally adds up the fleet, as who has the turn to scan does.
func (c *consumer) tally() {
	r, me := c.r, c.name
	c.send("tally", func() func() {
		r.ok(r.h.scan.Tally(r.h.ctx, 0, me))
		r.tallies++
		return func() {}
	})
}

// books compares the sums with the rows.
// KEYS 1 books 2 load 3 fleet
const books = `
local weight, full, sharing = 0, 0, 0
local flat = redis.call('HGETALL', KEYS[3])
for i = 1, #flat, 2 do
	local w, away, state = string.match(flat[i + 1], '^(%d+) (%d+) %d+ (%l+)$')
	if state == 'shares' then
		weight, sharing = weight + tonumber(w), sharing + 1
		if away ~= '0' or not redis.call('ZSCORE', KEYS[2], flat[i]) then
			return flat[i] .. ' shares, and has ' .. away .. ' away, or no load'
		end
	end
	full = full + tonumber(away)
end
local sums = { string.match(redis.call('HGET', KEYS[1], 'sums') or '', '^(%d+) (%d+) ') }
if tonumber(sums[1] or 0) ~= weight or tonumber(sums[2] or 0) ~= full or redis.call('ZCARD', KEYS[2]) ~= sharing then
	return 'sums ' .. (sums[1] or '-') .. ' ' .. (sums[2] or '-') .. ' and ' .. redis.call('ZCARD', KEYS[2]) .. ' loads; of the rows ' .. weight .. ' ' .. full .. ' ' .. sharing
end
return ''`

// checkBooks checks that the sums are those of the rows, whatever ran late, twice or never.
func (r *run) checkBooks() {
	k := r.h.keys
	drift := r.h.Text("EVAL", books, "3", k.Books, k.Load, k.Fleet)
	r.require(drift == "", "books: %s", drift)
	r.reported += r.h.Num("HLEN", k.Fleet)
}
