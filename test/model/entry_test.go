package model

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// read reads new entries, only while the session is believed in.
func (c *consumer) read(n int) {
	if c.name == "" {
		return
	}
	name := c.name
	c.send("read", func() func() {
		raw, err := c.r.h.store.Read(c.r.h.ctx, 0, name, n, time.Millisecond)
		c.r.ok(err)
		return func() { c.arrived(name, raw) }
	})
}

// reconcile looks for entries that were read but never arrived.
func (c *consumer) reconcile() {
	if c.name == "" || c.flights["read"] != nil {
		return
	}
	name := c.name
	c.send("read", func() func() {
		page, err := c.r.h.store.Pending(c.r.h.ctx, 0, name, "", 100, 0)
		c.r.ok(err)
		return func() {
			for _, p := range page {
				if p.Deliveries < lease.HeldDeliveries {
					c.arrived(name, []lease.Entry{p.Entry})
				}
			}
		}
	})
}

func (c *consumer) arrived(name string, raw []lease.Entry) {
	if c.name != name {
		return // it is requeued with the session
	}
	for _, e := range raw {
		if slices.ContainsFunc(c.items, func(x *item) bool { return x.entry.ID == e.ID }) {
			continue
		}
		parsed, err := lease.ParseEntry(c.r.h.layout, 0, e.ID, e.Body)
		c.r.ok(err)
		c.items = append(c.items, &item{entry: &parsed, number: numberOf(&parsed), consumer: name, state: read})
	}
}

// acquire asks for the leases of these items.
func (c *consumer) acquire(items []*item) {
	if c.name == "" || len(items) == 0 {
		return
	}
	name, epoch, sent := c.name, c.epoch, c.r.h.now()
	entries := make([]*lease.Entry, len(items))
	for i, x := range items {
		entries[i] = x.entry
	}
	store := c.store()
	c.send("acquire", func() func() {
		status, takes, err := store.Acquire(c.r.h.ctx, 0, name, entries)
		c.r.ok(err)
		for i := range takes {
			if takes[i].Verdict == lease.Acquired {
				c.r.found(items[i], takes[i])
			}
		}
		return func() {
			if status == lease.SessionLost && c.name == name {
				c.loseSession()
			}
			if status != lease.SessionLive {
				return
			}
			for i, x := range items {
				c.placed(name, epoch, sent, x, takes[i])
			}
		}
	})
}

func (c *consumer) placed(name string, epoch int, sent time.Duration, x *item, take lease.Take) {
	if c.name != name || x.state != read {
		return // it is requeued with the session
	}
	switch take.Verdict {
	case lease.Acquired:
		x.token, x.until = take.Token, sent+c.lease-margin(c.lease)
		x.value, _ = strconv.Atoi(take.Checkpoint)
		if epoch != c.epoch {
			x.until = min(x.until, sent+c.session-margin(c.session))
		}
		c.floor = max(c.floor, take.Token)
		if c.r.h.now() >= x.until {
			c.lose(x)
			return
		}
		x.state = held
		c.r.owned(c, x)
	case lease.NotPending, lease.Gone:
		c.drop(x)
	}
}

// end starts to end a stream on behalf of its owner.
func (c *consumer) end(x *item, finish bool, dest lease.Dest, delay time.Duration) {
	if !c.believes(x) {
		return
	}
	x.state, x.finish = ending, finish
	x.give = lease.Disposition{Key: x.entry.Key, Entry: x.entry.ID, Token: fmt.Sprint(uint64(x.token)), Dest: dest, Delay: delay,
		Retries: lease.KeepCount, Crashes: lease.KeepCount, Reason: "model",
		DropCheckpoint: c.r.rand.IntN(8) == 0}
	if x.value != 0 {
		value := strconv.Itoa(x.value)
		x.give.Checkpoint = &value
	}
	c.r.note("%s ends %s, finish %v, %c", c, x.entry.ID, finish, dest)
}

// flush sends endings, of one kind and one name at a time.
func (c *consumer) flush() {
	var batch []*item
	for _, x := range c.in(ending) {
		if len(batch) == 0 || x.finish == batch[0].finish && x.consumer == batch[0].consumer {
			batch = append(batch, x)
		}
	}
	if len(batch) == 0 {
		return
	}
	items := make([]lease.Disposition, len(batch))
	for i, x := range batch {
		items[i] = x.give
	}
	name, finish := batch[0].consumer, batch[0].finish
	c.send("end", func() func() {
		ask := c.r.h.store.Requeue
		if finish {
			ask = c.r.h.store.Done
		}
		out, err := ask(c.r.h.ctx, 0, name, items)
		c.r.ok(err)
		for i, o := range out {
			if o.Verdict == lease.Finished {
				c.r.finished(batch[i].number)
			}
			c.r.left(&items[i], o, batch[i].entry.Stream)
		}
		return func() {
			for i, x := range batch {
				if out[i].Verdict != lease.Refused {
					c.drop(x)
				}
			}
		}
	})
}
