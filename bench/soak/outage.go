package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/servers"
)

// outageEvery is how many session TTLs lie between two outages, on average, besides one in which the pods recover.
const outageEvery = 5

// What happens to a server.
const (
	serverKilled = "killed" // and started again, with all that it had acknowledged
	serverPaused = "paused"
)

// outages are what happens to a server of our own while pods run on it.
type outages struct {
	server   *servers.Server
	session  time.Duration
	rnd      *rand.Rand
	struck   map[string]int
	troubled []interval

	// away is held while the server is, and for reading while a pod starts: it does not without one.
	down sync.RWMutex
}

// befall has one outage after the other until ctx ends; then the server is well. They last for up to twice a session TTL, as
// what happens to pods does.
func (o *outages) run(ctx context.Context) error {
	for measure.Pause(ctx, time.Duration((1+outageEvery*o.rnd.ExpFloat64())*float64(o.session))) == nil {
		if err := o.one(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (o *outages) one(ctx context.Context) error {
	o.down.Lock()
	defer o.down.Unlock()
	strike, heal, name := o.server.Pause, o.server.Resume, serverPaused
	if o.rnd.IntN(2) == 0 {
		strike, name = o.server.Kill, serverKilled
		heal = func() error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pod.Patience)
			defer cancel()
			return o.server.Restart(ctx, true)
		}
	}
	o.struck[name]++
	from := journal.Monotonic()
	err := strike()
	_ = measure.Pause(ctx, time.Duration(2*o.rnd.Float64()*float64(o.session))) // cut short, it is over
	err = errors.Join(err, heal())
	o.troubled = append(o.troubled, interval{from, journal.Monotonic()})
	return err
}

// reached reports whether there was an outage in this time.
func (o *outages) during(from, until time.Duration) bool {
	return o != nil && overlaps(o.troubled, from, until)
}

// despite asks until there is an answer, for longer than an outage lasts. Where there are none, it asks once.
func (o *outages) retry(ctx context.Context, ask func() error) (err error) {
	for end := time.Now().Add(pod.Patience); ; {
		if err = ask(); err == nil || o == nil || time.Now().After(end) || measure.Pause(ctx, announceEvery) != nil {
			return err
		}
	}
}
