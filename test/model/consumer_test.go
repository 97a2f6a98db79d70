package model

import (
	"fmt"
	"slices"
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
