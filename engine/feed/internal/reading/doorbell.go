package reading

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster/backoff"
)

// ErrRefused: servers refuse to track what a client reads, or speak no RESP3, without which nothing rings.
var ErrRefused = errors.New("reading: client tracking is refused")

// serve connects, and has the lanes read, until ctx ends or tracking is refused and Mode asks for it.
func (r *Reader) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		if r.cfg.Mode == Polling {
			r.poll(ctx, never)
			continue
		}
		err := r.ring(ctx)
		if err == nil {
			continue
		}
		if r.cfg.Mode == Tracking {
			return err
		}
		r.cfg.Logger.Warn("tracking is refused, polling instead", "err", err, "every", r.cfg.PollEvery)
		r.poll(ctx, trackAgain)
	}
	return nil
}

// trackAgain is how long a reader polls that would rather track, until it tries again: rights may have been given meanwhile.
const trackAgain = 5 * time.Minute

// poll reads through the client of Config for some time.
func (r *Reader) poll(ctx context.Context, d time.Duration) {
	r.use(r.cfg.Client, true)
	backoff.Sleep(ctx, d)
	r.use(nil, true)
}

// ring reads through a client that tracks, until ctx ends (nil) or that is refused.
func (r *Reader) ring(ctx context.Context) error {
	number := r.number()
	client, err := r.connect(ctx, number)
	if client == nil {
		return err
	}
	defer client.Close()
	r.use(client, false)
	defer r.use(nil, false)
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.refuse:
		return err
	}
}

// number returns a number that no client had before.
func (r *Reader) number() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.track++
	return r.track
}

// connect tries until there is a client, ctx ends (nil, nil), or tracking is refused.
func (r *Reader) connect(ctx context.Context, number uint64) (rueidis.Client, error) {
	for failures := 1; ctx.Err() == nil; failures++ {
		client, err := r.cfg.NewClient(func(o *rueidis.ClientOption) { r.tune(o, number) })
		if err == nil {
			return client, nil
		}
		if errors.Is(err, rueidis.ErrNoCache) {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		r.count(Failures, 1)
		if failures == loudAt {
			r.cfg.Logger.Warn("cannot connect to read streams", "err", err)
		}
		backoff.Sleep(ctx, failureDelays.Delay(failures, r.cfg.Random()))
	}
	return nil, nil
}

// loudAt is how many failures in a row are logged once.
const loudAt = 10

// tune sets the options on which it depends that rings arrive.
func (r *Reader) tune(o *rueidis.ClientOption, number uint64) {
	o.ClientTrackingOptions = []string{} // nil is OPTIN, which would ring nothing
	o.OnInvalidations = func(keys []rueidis.RedisMessage) { r.onRings(number, keys) }
	o.DisableCache = false // else tracking is not turned on
	o.NewCacheStoreFn = func(rueidis.CacheStoreOption) rueidis.CacheStore { return nothing{} }
	o.PipelineMultiplex = -1 // with two connections one write rings several times
	if r.cfg.Client.Mode() == rueidis.ClientModeCluster {
		o.PipelineMultiplex = 0
	}
	o.ConnLifetime = 0
	o.DisableAutoPipelining = false
	o.BlockingPipeline = 0
	o.ConnWriteTimeout = cmp.Or(o.ConnWriteTimeout, time.Second)
	o.Dialer.Timeout = cmp.Or(o.Dialer.Timeout, r.cfg.Timeout) // whoever waits for a connection heeds no context
	// A replica is behind, and rings for what it has replicated.
	o.SendToReplicas, o.ReplicaOnly, o.ReadNodeSelector = nil, false, nil
	//lint:ignore SA1019 a caller may still set it, and it is heeded
	o.ReplicaSelector = nil
	o.Standalone.ReplicaAddress = nil
}

// nothing stores nothing. The client asks for a store where it tracks, and nothing is read through it.
type nothing struct{}

func (nothing) Flight(string, string, time.Duration, time.Time) (m rueidis.RedisMessage, e rueidis.CacheEntry) {
	return m, nil
}
func (nothing) Update(string, string, rueidis.RedisMessage) int64 { return 0 }
func (nothing) Cancel(string, string, error)                      {}
func (nothing) Delete([]rueidis.RedisMessage)                     {}
func (nothing) Close(error)                                       {}

// onRings is called with the streams that were written to, or with nil when a connection of the client was lost or a database flushed. It
// is called by the goroutine that receives answers: none arrives before it returns.
func (r *Reader) onRings(number uint64, keys []rueidis.RedisMessage) {
	r.mu.Lock()
	if !r.running || number != r.track {
		r.mu.Unlock() // Close calls this, too
		return
	}
	t := r.now()
	rings, strays := 0, 0
	if keys == nil {
		r.roster.lost(t)
		r.hasten(t)
	}
	for i := range keys {
		stream, err := keys[i].ToString()
		if err == nil && r.roster.ring(stream, t) {
			rings++
		} else {
			strays++
		}
	}
	r.hasten(r.roster.waiting.next())
	r.mu.Unlock()
	r.count(Rings, rings)
	r.count(Strays, strays)
}

// use has lanes read through a client, nil: none.
func (r *Reader) use(client rueidis.Client, polling bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.client = client
	r.roster.polling = polling
	least, each := r.cfg.sweep()
	if polling {
		least, each = r.cfg.PollEvery, 0
	}
	r.roster.sweep.period, r.roster.sweep.each = int64(least), int64(each)
	if client == nil {
		r.track++ // closing the client rings nothing
		return
	}
	select {
	case <-r.refuse: // of a client before
	default:
	}
	t := r.now()
	r.roster.epoch++
	r.roster.sweep.hurry(t) // what was read before may not be armed
	r.hasten(t)
	for _, l := range r.roster.lanes {
		l.failures, l.paused = 0, 0
		l.work.Broadcast()
	}
}

// noteRefusal ends reading through a client that is refused tracking since it was connected: a server was replaced, or rights were taken.
func (r *Reader) noteRefusal(client rueidis.Client, err error) {
	if !errors.Is(err, rueidis.ErrNoCache) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if client != r.client || r.roster.polling {
		return
	}
	select {
	case r.refuse <- fmt.Errorf("%w: %w", ErrRefused, err):
	default:
	}
}
