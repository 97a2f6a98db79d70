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

// outageEvery is the average time between two outages in session TTLs, besides one session TTL in which the pods recover.
const outageEvery = 5

// Kinds of outages.
const (
	serverKilled = "killed" // and restarted with all that it had acknowledged
	serverPaused = "paused"
)

// outages strike a server of our own while pods run on it.
type outages struct {
	server   *servers.Server
	session  time.Duration
	rnd      *rand.Rand
	struck   map[string]int
	troubled []interval

	// down is held during an outage, and for reading while a pod starts, which it cannot do without a server.
	down sync.RWMutex
}

// run makes one outage after the other until ctx ends; the server is up when it returns. An outage lasts up to twice the session TTL, as
// the troubles of pods do.
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
	_ = measure.Pause(ctx, time.Duration(2*o.rnd.Float64()*float64(o.session))) // cut short at the end of ctx
	err = errors.Join(err, heal())
	o.troubled = append(o.troubled, interval{from, journal.Monotonic()})
	return err
}

// during reports whether there was an outage between from and until.
func (o *outages) during(from, until time.Duration) bool {
	return o != nil && overlaps(o.troubled, from, until)
}

// retry calls ask until it succeeds, for longer than an outage lasts. On a nil receiver, where there are no outages, it calls ask once.
func (o *outages) retry(ctx context.Context, ask func() error) (err error) {
	for end := time.Now().Add(pod.Patience); ; {
		if err = ask(); err == nil || o == nil || time.Now().After(end) || measure.Pause(ctx, announceEvery) != nil {
			return err
		}
	}
}
