package model

import (
	"fmt"
	"slices"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// open opens a session under a new name.
func (c *consumer) open() {
	if c.name != "" {
		return
	}
	c.runs++
	c.ttls, c.longer = c.r.configured(c), 0
	name, sent := fmt.Sprintf("c%d.%d", c.id, c.runs), c.r.h.now()
	c.opening = name
	store, ttl := c.store(), c.session
	c.send("open", func() func() {
		b, err := store.Open(c.r.h.ctx, 0, name, c.floor)
		c.r.ok(err)
		return func() {
			until := sent + trust(ttl, b)
			if c.name != "" || b.Status == lease.SessionLost || c.r.h.now() >= until {
				c.retiring = append(c.retiring, name)
				return
			}
			c.name, c.until = name, until
			if c.server != b.Server {
				c.server = b.Server
				c.epoch++
			}
		}
	})
}

// onBeat processes the reply of a beat. It reports whether replies that came with it, requested in that epoch, count.
func (c *consumer) onBeat(name string, epoch int, sent, ttl time.Duration, b lease.Beat) bool {
	if c.name != name {
		return false
	}
	if b.Status == lease.SessionLost {
		c.loseSession()
		return false
	}
	changed := b.Status == lease.SessionMade || b.Server != c.server
	if changed {
		c.server = b.Server
		c.epoch++
		// Doubt: no lease lasts longer than the session would have without this reply.
		for _, x := range c.items {
			x.until = min(x.until, c.until)
		}
	}
	if c.r.h.now() >= c.until {
		c.loseSession()
		return false
	}
	c.until = max(c.until, sent+trust(ttl, b))
	return epoch == c.epoch
}

// leasesOf returns items in the form that the calls of the store take.
func (c *consumer) leasesOf(items []*item) (out []*lease.Lease) {
	clock := lease.NewClock()
	s := lease.NewSession(c.r.h.ctx, clock, 0, c.name, clock.Now(), time.Hour)
	for _, x := range items {
		out = append(out, lease.New(s, x.entry, x.token, clock.Now(), time.Hour, nil))
	}
	return out
}

// renew sends a beat, and renews these items.
func (c *consumer) renew(items []*item) {
	if c.name == "" {
		return
	}
	name, epoch, sent, floor := c.name, c.epoch, c.r.h.now(), c.floor
	leases := c.leasesOf(items)
	var saves []lease.Savings
	if along := c.savings(some(c.r, c.in(held))); len(along.Items) > 0 && c.r.rand.IntN(3) == 0 {
		saves = []lease.Savings{along}
	}
	// In a window of maintenance sessions are longer. Later beats ask for no less than what remains of that, and do not rely on it.
	ttl := c.session
	if c.reach > c.session && c.r.rand.IntN(3) == 0 {
		ttl = c.reach
		c.longer = max(c.longer, sent+ttl)
	}
	store := c.store().With(lease.Terms{SessionTTL: max(ttl, c.longer-sent)})
	c.send("renew", func() func() {
		answer := store.Renew(c.r.h.ctx, 0, name, floor, [][]*lease.Lease{leases}, saves, nil)[0]
		c.r.ok(answer.Err)
		c.r.ok(answer.SaveErr)
		if saves != nil {
			c.r.saved(saves[0], answer.Saved)
		}
		return func() {
			if !c.onBeat(name, epoch, sent, ttl, answer.Beat) {
				return
			}
			for i, x := range items {
				if x.state != held {
					continue
				}
				switch answer.Verdict(i) {
				case lease.Kept:
					x.until = max(x.until, sent+c.lease-margin(c.lease))
					x.missing = false
				case lease.Missing:
					x.missing = true
				default:
					c.lose(x)
				}
			}
		}
	})
}

// verify asks again for what the settling server does not know.
func (c *consumer) verify() {
	var items []*item
	for _, x := range c.in(held) {
		if x.missing {
			items = append(items, x)
		}
	}
	if c.name == "" || len(items) == 0 {
		return
	}
	name, epoch, sent := c.name, c.epoch, c.r.h.now()
	leases, saves, store := c.leasesOf(items), c.savings(items), c.store()
	c.send("verify", func() func() {
		answer, err := store.Verify(c.r.h.ctx, 0, name, leases, saves)
		c.r.ok(err)
		c.r.ok(answer.SaveErr)
		c.r.saved(saves, answer.Saved)
		verdicts := answer.Verdicts
		return func() {
			if c.name != name || c.epoch != epoch {
				return
			}
			for i, x := range items {
				if x.state != held {
					continue
				}
				if i < len(verdicts) && lease.Verdict(verdicts[i]) == lease.Kept {
					x.until = max(x.until, sent+c.lease-margin(c.lease))
					x.missing = false
				} else {
					c.lose(x)
				}
			}
		}
	})
}

// retire requeues what is pending for an ended session, and closes it.
func (c *consumer) retire() {
	if len(c.retiring) == 0 {
		return
	}
	name := c.retiring[0]
	c.send("retire", func() func() {
		page, err := c.r.h.store.Pending(c.r.h.ctx, 0, name, "", 3, 0)
		c.r.ok(err)
		var items []lease.Disposition
		for _, p := range page {
			e, err := lease.ParseEntry(c.r.h.layout, 0, p.ID, p.Body)
			key := e.Key
			if err != nil {
				key = c.r.h.keys.Lease("") // the body is gone
			}
			items = append(items, lease.Disposition{Key: key, Entry: p.ID, Token: lease.AnyToken, Dest: lease.ToInput,
				Retries: lease.KeepCount, Crashes: lease.KeepCount})
		}
		if len(items) > 0 {
			_, err = c.r.h.store.Requeue(c.r.h.ctx, 0, name, items)
			c.r.ok(err)
			return func() {}
		}
		_, err = c.r.h.store.Close(c.r.h.ctx, 0, name)
		c.r.ok(err)
		return func() { c.retiring = slices.DeleteFunc(c.retiring, func(s string) bool { return s == name }) }
	})
}
