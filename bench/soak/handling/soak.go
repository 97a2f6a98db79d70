package handling

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/bench/notes"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/soak/storm"
	"github.com/streamlease/streamlease/cluster"
)

const (
	prefix = "user-"
	// patience is how long everything may take to be handled after the last trouble, with four sessions more.
	patience = 2 * time.Minute
	// slack is added to the interval of checkpoints: the second in which they are collected, and a busy machine.
	slack = 2 * time.Second
)

// Options say what a soak of messages does.
type Options struct {
	storm.Options
	Streams    int
	Rate       int           // messages a second
	Checkpoint time.Duration // the feed's CheckpointEvery
}

// soak is one run: storm.Work.
type soak struct {
	*storm.Soak
	options Options
	load    load
	notes   map[string]*notes.Tail[note] // by process
	audit   audit
	result  Result
}

// Run has processes read messages while troubles strike, on a private cluster, and checks what they handled. If a promise did not hold, logs
// and notes are kept.
func Run(ctx context.Context, o Options, r *report.Report) error {
	o.ChooseSeed()
	return storm.RunSoak(ctx, "messages", o.Options, &soak{options: o, notes: make(map[string]*notes.Tail[note]), result: Result{Options: o}}, r)
}

// Prepare announces the streams and starts the processes.
func (s *soak) Prepare(ctx context.Context, on *storm.Soak) error {
	s.Soak = on
	o := s.options
	p := producer.Producer{Client: s.Client, Service: storm.Service, Prefix: prefix,
		Input: func(stream string) string { return s.Layout.Keys(s.Layout.Of(stream)).Input }}
	if _, err := p.Announce(ctx, 0, o.Streams); err != nil {
		return err
	}
	s.load = load{client: s.Client, name: p.Stream, rnd: o.Rand(1 << 32), sent: make([]int, o.Streams)}
	for i := range 2 * o.Partitions {
		s.Storm.Slots = append(s.Storm.Slots, cluster.Slot(p.Stream(i%o.Streams)))
	}
	s.audit = audit{session: o.SessionTTL, interval: o.Checkpoint + slack, slots: func(stream int) (own, partition uint16) {
		return cluster.Slot(p.Stream(stream)), s.Layout.Keys(s.Layout.Of(p.Stream(stream))).Slot
	}}
	reader := ReaderOptions{Service: storm.Service, Partitions: o.Partitions, Prefix: prefix, LeaseTTL: o.LeaseTTL, SessionTTL: o.SessionTTL,
		Checkpoint: o.Checkpoint}
	return s.Start(ctx, "reader", reader.args)
}

// Drive sends messages.
func (s *soak) Drive(ctx context.Context) error { return s.load.run(ctx, s.options.Rate) }

// Finish waits until everything is handled, drains the processes, and checks what they noted.
func (s *soak) Finish(ctx context.Context) (storm.Result, error) {
	there, forgotten, err := s.load.there(ctx)
	if err != nil {
		return nil, err
	}
	s.result.NotThere, s.result.Unsent = forgotten, s.load.lost
	for _, n := range s.load.sent {
		s.result.Sent += n
	}
	if err := s.await(ctx, there); err != nil {
		return nil, err
	}
	if err := errors.Join(s.Drain(), s.collect(), ctx.Err()); err != nil {
		return nil, err
	}
	s.audit.troubles = s.Troubles(s.audit.troubles)
	for stream, ids := range there {
		s.audit.stream(stream, ids, &s.result.Findings)
	}
	s.result.Outcome = s.Outcome
	return s.result, nil
}

// await waits until all messages are handled, or the time for that is up.
func (s *soak) await(ctx context.Context, there [][]id) error {
	for end := time.Now().Add(patience + 4*s.options.SessionTTL); ; time.Sleep(100 * time.Millisecond) {
		if err := s.collect(); err != nil {
			return err
		}
		s.result.Unhandled = 0
		for stream, ids := range there {
			s.result.Unhandled += s.audit.unhandled(stream, ids)
		}
		if s.result.Unhandled == 0 || time.Now().After(end) || ctx.Err() != nil {
			return nil
		}
	}
}

// collect adds what was noted since the last call to the audit.
func (s *soak) collect() (err error) {
	for _, p := range s.Places {
		for _, r := range p.Runs() {
			n := s.notes[r.Name]
			if n == nil {
				n = &notes.Tail[note]{Path: r.Notes, Size: noteSize, Parse: noteOf}
				s.notes[r.Name] = n
			}
			all, failed := n.More()
			s.audit.add(r.Name, all)
			err = errors.Join(err, failed)
		}
	}
	return err
}
