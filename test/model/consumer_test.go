package model

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// state is the state of an entry at a consumer.
type state uint8

const (
	read   state = iota + 1 // not acquired yet
	held                    // owned, until a deadline
	ending                  // its owner has ended it, or it has to be requeued; Redis has not confirmed that
)

// item is an entry at a consumer.
type item struct {
	entry    *lease.Entry
	number   int
	consumer string // name of the session that read it
	state    state
	token    api.Token
	until    time.Duration // local deadline of the lease
	missing  bool          // the settling server does not know it: verify
	finish   bool          // when ending: Done; otherwise requeue
	give     lease.Disposition
	value    int // of its checkpoint; 0: none
}

// consumer is a process, as simple as the rules allow. Its name changes with every session.
type consumer struct {
	r        *run
	id       int
	runs     int
	ttls                   // of the session
	longer   time.Duration // until when a lengthened session may last on the server
	cut      time.Duration // until when it is cut off
	name     string        // of the session; empty: none
	opening  string        // name of the last session that it asked for
	until    time.Duration
	server   string
	epoch    int
	floor    api.Token
	number   uint64 // of the last call that stored checkpoints
	items    []*item
	retiring []string           // ended sessions whose pending entries have to be requeued
	flights  map[string]*flight // calls under way, at most one of each kind
}

// flight is a call under way.
type flight struct {
	kind   string
	c      *consumer
	call   func() func() // runs it on the server, and returns a function that processes the reply
	answer func()        // nil: has not run yet
}

// send starts a call, unless one of its kind is under way.
func (c *consumer) send(kind string, call func() func()) {
	if c.flights[kind] == nil {
		c.flights[kind] = &flight{kind: kind, c: c, call: call}
		c.r.note("%s sends %s", c, kind)
	}
}

// store returns the store with the TTLs of the session.
func (c *consumer) store() *lease.Store { return c.r.h.stores[c.ttls] }

// trust returns how long a session with this TTL may be believed in after a beat with reply b was sent.
func trust(ttl time.Duration, b lease.Beat) time.Duration {
	ttl = min(ttl, b.Firm)
	return ttl - margin(ttl)
}

func (c *consumer) String() string { return fmt.Sprintf("c%d(%s)", c.id, c.name) }

// expire ends what is past its deadline, for good.
func (c *consumer) expire() {
	now := c.r.h.now()
	if c.name != "" && now >= c.until {
		c.loseSession()
	}
	for _, x := range c.items {
		if x.state == held && now >= x.until {
			c.lose(x)
		}
	}
}

// loseSession ends the session and everything that depends on it.
func (c *consumer) loseSession() {
	c.r.note("%s loses its session", c)
	c.items = slices.DeleteFunc(c.items, func(x *item) bool { return x.consumer == c.name && x.state != ending })
	c.retiring = append(c.retiring, c.name)
	c.name = ""
}

// lose requeues an entry that is not owned any more.
func (c *consumer) lose(x *item) {
	c.r.note("%s loses %s", c, x.entry.ID)
	x.state, x.finish = ending, false
	x.give = lease.Disposition{Key: x.entry.Key, Entry: x.entry.ID, Token: lease.AnyToken, Dest: lease.ToInput,
		Retries: lease.KeepCount, Crashes: lease.KeepCount}
}

// believes reports whether the consumer considers itself the owner of a stream, for G1.
func (c *consumer) believes(x *item) bool { return c.name == x.consumer && x.state == held }

func (c *consumer) in(s state) (out []*item) {
	for _, x := range c.items {
		if x.state == s {
			out = append(out, x)
		}
	}
	return out
}

func (c *consumer) drop(x *item) {
	c.items = slices.DeleteFunc(c.items, func(y *item) bool { return y == x })
}

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
