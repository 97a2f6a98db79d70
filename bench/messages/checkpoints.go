package messages

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// CheckpointCosts are what storing how far streams have come costs the server, processor time a stream.
type CheckpointCosts struct {
	Streams   int
	Length    int           // bytes of a checkpoint
	Renewed   time.Duration // a renewal alone
	Along     time.Duration // a renewal that takes a checkpoint along
	Alone     time.Duration // a checkpoint that travels by itself
	Acquired  time.Duration // acquiring a stream without a checkpoint
	Read      time.Duration // acquiring one that has a checkpoint
	Bytes     float64       // of the server's memory
	PerScript int           // leases in a script
}

const (
	checkpointStreams = 10_000
	// checkpointLength is that of a position and a little state.
	checkpointLength = 40
	// checkpointPasses is how often each call is made for all streams. Medians count.
	checkpointPasses = 9
)

// checkpoints measures what the scripts cost, without an engine.
func (b *bench) checkpoints(ctx context.Context) (err error) {
	t, err := target.Open(ctx, b.o.URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	b.report.Redis = t.Version
	s := &scribe{target: t, streams: min(checkpointStreams, slices.Max(b.o.Streams))}
	if err := s.begin(ctx); err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	costs, err := s.measure(ctx)
	if err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	b.result.Checkpoints = &costs
	b.steps.Done()
	return nil
}

// scribe owns streams by calling the scripts itself.
type scribe struct {
	target   *target.Target
	store    *lease.Store
	keys     *cluster.Keys
	session  *lease.Session
	streams  int
	consumer string
	entries  [][]*lease.Entry
	leases   [][]*lease.Lease
	number   uint64 // of calls that store checkpoints
}

// scribeTTL outlasts what is measured.
const scribeTTL = time.Hour

func (s *scribe) begin(ctx context.Context) error {
	p, err := s.target.Announce(ctx, "checkpoints", s.streams)
	if err != nil {
		return err
	}
	layout, err := cluster.NewLayout(p.Service, s.target.Partitions)
	if err != nil {
		return err
	}
	s.keys = layout.Keys(0)
	clock := lease.NewClock()
	s.consumer = "scribe.0"
	s.store = lease.NewStore(layout, lease.Settings{LeaseTTL: scribeTTL, SessionTTL: scribeTTL, Gap: scribeTTL, Timeout: target.Timeout, DeadLimit: 1}, s.target.Client, s.target.Client, nil)
	if _, err := s.store.Open(ctx, 0, s.consumer, 0); err != nil {
		return err
	}
	s.session = lease.NewSession(context.WithoutCancel(ctx), clock, 0, s.consumer, clock.Now(), scribeTTL)
	for n := 0; n < s.streams; {
		read, err := s.store.Read(ctx, 0, s.consumer, lease.DefaultMaxBatch, target.Timeout/2)
		if err != nil {
			return err
		}
		if len(read) == 0 {
			return fmt.Errorf("%d of %d announcements were read", n, s.streams)
		}
		page := make([]*lease.Entry, len(read))
		for i := range read {
			e, err := lease.Parse(layout, &read[i])
			if err != nil {
				return err
			}
			page[i] = &e
		}
		s.entries = append(s.entries, page)
		n += len(page)
	}
	return nil
}

// free deletes the leases, so that the streams can be acquired as those of somebody who went away.
func (s *scribe) free(ctx context.Context) error {
	for _, page := range s.entries {
		commands := make(rueidis.Commands, len(page))
		for i, e := range page {
			commands[i] = s.target.Client.B().Del().Key(e.Key).Build()
		}
		for _, result := range s.target.Client.DoMulti(ctx, commands...) {
			if err := result.Error(); err != nil {
				return err
			}
		}
	}
	return nil
}

// acquire acquires all streams.
func (s *scribe) acquire(ctx context.Context) error {
	s.leases = nil
	for _, page := range s.entries {
		status, takes, err := s.store.Acquire(ctx, 0, s.consumer, page)
		if err != nil {
			return err
		}
		if status != lease.SessionLive {
			return fmt.Errorf("the session is %v", status)
		}
		leases := make([]*lease.Lease, len(page))
		for i, take := range takes {
			if take.Verdict != lease.Acquired {
				return fmt.Errorf("stream %s: %v", page[i].Stream, take.Verdict)
			}
			leases[i] = lease.New(s.session, page[i], take.Token, 0, scribeTTL, nil)
		}
		s.leases = append(s.leases, leases)
	}
	return nil
}

func (s *scribe) renew(ctx context.Context, along bool) error {
	for _, batch := range s.leases {
		var saves []lease.Savings
		if along {
			s.number++
			saves = []lease.Savings{{Number: s.number, Items: s.savings(batch)}}
		}
		r := s.store.Renew(ctx, 0, s.consumer, 1, [][]*lease.Lease{batch}, saves, nil)[0]
		if err := errors.Join(r.Err, r.SaveErr); err != nil {
			return err
		}
		if along && strings.Trim(r.Saved, string(rune(lease.Saved))) != "" {
			return fmt.Errorf("renewed, but not saved: %q", r.Saved)
		}
	}
	return nil
}

func (s *scribe) save(ctx context.Context) error {
	for _, batch := range s.leases {
		s.number++
		verdicts, err := s.store.SaveCheckpoints(ctx, 0, s.consumer, s.number, s.savings(batch))
		if err != nil {
			return err
		}
		if strings.Trim(verdicts, string(rune(lease.Saved))) != "" {
			return fmt.Errorf("not saved: %q", verdicts)
		}
	}
	return nil
}

// savings are checkpoints that differ from call to call.
func (s *scribe) savings(batch []*lease.Lease) []lease.Saving {
	value := fmt.Sprintf("%0*d", checkpointLength, s.number)
	items := make([]lease.Saving, len(batch))
	for i, l := range batch {
		items[i] = lease.Saving{Lease: l, Value: value}
	}
	return items
}

func (s *scribe) measure(ctx context.Context) (c CheckpointCosts, err error) {
	c = CheckpointCosts{Streams: s.streams, Length: checkpointLength, PerScript: lease.DefaultMaxBatch}
	if err := s.acquire(ctx); err != nil {
		return c, err
	}
	before, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return c, err
	}
	if err := s.save(ctx); err != nil {
		return c, err
	}
	after, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return c, err
	}
	c.Bytes = float64(after.Since(before).Memory) / float64(s.streams)
	var acquired, read, renewed, along, alone []time.Duration
	// In turn: a difference of two figures needs them under the same conditions.
	for range checkpointPasses {
		for _, m := range []struct {
			to *[]time.Duration
			of func(context.Context) error
		}{
			{&acquired, s.withoutCheckpoints(s.acquire)},
			{&read, s.acquire},
			{&renewed, func(ctx context.Context) error { return s.renew(ctx, false) }},
			{&along, func(ctx context.Context) error { return s.renew(ctx, true) }},
			{&alone, s.save},
		} {
			if m.to == &acquired || m.to == &read {
				if err := s.free(ctx); err != nil {
					return c, err
				}
			}
			once, err := s.once(ctx, m.of)
			if err != nil {
				return c, err
			}
			*m.to = append(*m.to, once)
		}
	}
	c.Acquired, c.Read = measure.Median(acquired), measure.Median(read)
	c.Renewed, c.Along, c.Alone = measure.Median(renewed), measure.Median(along), measure.Median(alone)
	return c, nil
}

// withoutCheckpoints has a pass run while the checkpoints are elsewhere: under the name of the dead letters, of which there are none here, in
// the same slot, and deleted in the end with the other keys.
func (s *scribe) withoutCheckpoints(pass func(context.Context) error) func(context.Context) error {
	move := func(ctx context.Context, from, to string) error {
		return s.target.Client.Do(ctx, s.target.Client.B().Rename().Key(from).Newkey(to).Build()).Error()
	}
	return func(ctx context.Context) error {
		if err := move(ctx, s.keys.Checkpoints, s.keys.DeadLetters); err != nil {
			return err
		}
		err := pass(ctx)
		return errors.Join(err, move(context.WithoutCancel(ctx), s.keys.DeadLetters, s.keys.Checkpoints))
	}
}

// once is what one pass over all streams costs the server for each.
func (s *scribe) once(ctx context.Context, pass func(context.Context) error) (time.Duration, error) {
	before, err := measure.ReadUsage(ctx, s.target.Client)
	if err != nil {
		return 0, err
	}
	if err := pass(ctx); err != nil {
		return 0, err
	}
	after, err := measure.ReadUsage(ctx, s.target.Client)
	return after.Since(before).CPU / time.Duration(s.streams), err
}
