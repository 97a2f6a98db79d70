package model

import (
	"errors"
	"math"
	"time"

	"github.com/streamlease/streamlease/scan"
)

// connectScan makes the store with which consumers recover those that were killed. None becomes a dead letter.
func (h *harness) connectScan() {
	h.scan = scan.NewStore(h.layout, scan.Settings{
		Config:     scan.Config{MaxCrashes: math.MaxInt, CrashDelay: time.Millisecond, MaxCrashDelay: time.Second}.WithDefaults(),
		SessionTTL: usual.session, Gap: usual.gap(), Settle: true, Timeout: time.Minute, Page: 2,
	}, h.Client, nil)
}

// kill ends a process as SIGKILL does. It believes in nothing any more, and what it had sent may run, or not, even much later. Whoever
// gets its lock knows that.
func (r *run) kill(c *consumer) {
	r.note("%s is killed", c)
	for _, f := range c.flights {
		if f.answer == nil && r.rand.IntN(2) == 0 {
			r.late = append(r.late, f.call)
		}
	}
	clear(c.flights)
	r.proven = append(r.proven, c.retiring...)
	if c.name != "" {
		r.proven = append(r.proven, c.name)
	}
	if c.opening != "" && c.opening != c.name {
		r.proven = append(r.proven, c.opening)
	}
	c.items, c.retiring, c.name, c.floor, c.server = nil, nil, "", 0, ""
	r.killed++
}

// recoverProven ends the sessions of all that were killed, and recovers them. It may run late, and twice, like any call.
func (c *consumer) recoverProven() {
	if c.name == "" || len(c.r.proven) == 0 {
		return
	}
	r, me, gone := c.r, c.name, c.r.proven
	c.send("recover", func() func() {
		ended, err := r.h.scan.EndRuns(r.h.ctx, 0, gone)
		r.ok(err)
		r.note("%d sessions of killed processes are ended", ended)
		for _, name := range gone {
			done, err := r.h.scan.Recover(r.h.ctx, 0, me, name)
			if !errors.Is(err, scan.ErrNotMine) {
				r.ok(err)
			}
			r.recovered += done.Entries
		}
		return func() {}
	})
}
