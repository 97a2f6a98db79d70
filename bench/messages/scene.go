package messages

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/bench/load"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/test/servers"
)

// scene is a server, a producer, and a reader, each a process.
type scene struct {
	target   *target.Target
	producer producer.Producer // of announcements
	load     load.Process
	reader   *pod.Process // nil: nobody reads
	model    Model
	streams  int
	sent     load.Sent
	before   measure.Usage // of the server, with the streams and without a reader
}

// casting says who is on a scene, and what there is before the reader comes.
type casting struct {
	url     string
	model   Model
	streams int
	each    int      // messages in each stream before the reader comes
	args    []string // of a private server
	// apart returns the slots of a service whose streams' latencies are measured apart. nil: none.
	apart func(service string) (load.Slots, error)
}

// stage makes a scene: messages are in the streams, and the reader has not begun. Close it afterwards.
func stage(ctx context.Context, c casting, r *report.Report) (s *scene, err error) {
	args := append([]string{"--maxclients", fmt.Sprint(max(10_000, c.streams+spareClients))}, c.args...)
	if c.model != Blocking {
		args = c.args
	}
	t, err := target.OpenWith(ctx, c.url, servers.Options{Args: args})
	if err != nil {
		return nil, err
	}
	r.Redis = t.Version
	s = &scene{target: t, model: c.model, streams: c.streams, producer: t.TrackData("feed", c.streams)}
	if err := s.begin(ctx, c); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *scene) begin(ctx context.Context, c casting) (err error) {
	if s.load, err = load.Start(ctx, s.target.URL, load.Options{Prefix: s.producer.Prefix, Streams: c.streams, Seed: 1}); err != nil {
		return err
	}
	if s.sent, err = s.load.Fill(c.each); err != nil {
		return err
	}
	if s.before, err = measure.ReadUsage(ctx, s.target.Client); err != nil || c.model == None {
		return err
	}
	o := ReaderOptions{Model: c.model, Service: s.producer.Service, Prefix: s.producer.Prefix, Streams: c.streams, Clustered: s.target.Cluster}
	if c.apart != nil {
		if o.Apart, err = c.apart(o.Service); err != nil {
			return err
		}
	}
	if s.reader, err = startReader(ctx, s.target.URL, o); err != nil {
		return err
	}
	if _, err := s.ask("open"); err != nil {
		return err
	}
	_, err = s.ask("connect")
	return err
}

func (s *scene) ask(format string, args ...any) (Reader, error) {
	return pod.Ask[Reader](s.reader, format, args...)
}

// read lets the reader begin.
func (s *scene) read(ctx context.Context) error {
	if s.reader == nil {
		return nil
	}
	if _, err := s.ask("read"); err != nil {
		return err
	}
	if !s.model.owns() {
		return nil
	}
	_, err := s.producer.Announce(ctx, 0, s.streams)
	return err
}

// settled returns when the reader waits for what comes: it has handled all that was sent.
func (s *scene) settled(ctx context.Context) (r Reader, err error) {
	if s.reader == nil {
		return r, nil
	}
	if s.model == Owned {
		return s.ask("hold %d", s.streams)
	}
	if r, err = s.ask("await %d", s.sent.Messages); err != nil || s.model != Blocking {
		return r, err
	}
	return r, measure.Poll(ctx, pod.Patience, func() (bool, error) {
		u, err := measure.ReadUsage(ctx, s.target.Client)
		return u.Blocked >= int64(s.streams), err
	})
}

// check fails when other messages were handled than were sent.
func (s *scene) check(r Reader) error {
	switch {
	case s.reader == nil || s.model == Owned:
		return nil
	case r.Bad > 0:
		return fmt.Errorf("%d streams were lost, or reads failed, or brought what was not sent", r.Bad)
	case r.Messages != s.sent.Messages || r.Sum != s.sent.Sum:
		return fmt.Errorf("%d messages with the sum %d were handled, of %d with the sum %d that were sent", r.Messages, r.Sum, s.sent.Messages, s.sent.Sum)
	}
	return nil
}

// instant is the state of all processes at one moment.
type instant struct {
	at     time.Time
	reader Reader
	server measure.Usage
	load   load.Sent
}

// look asks the reader for what it has done, when it has done all.
func (s *scene) look(ctx context.Context) (i instant, err error) {
	if i.reader, err = s.settled(ctx); err != nil {
		return i, err
	}
	i.at, i.load = time.Now(), s.sent
	i.server, err = measure.ReadUsage(ctx, s.target.Client)
	return i, err
}

func (s *scene) close() (err error) {
	if s.reader != nil {
		_ = s.reader.Kill() // nothing needs to be handed back
	}
	if s.load.Process != nil {
		err = s.load.Stop()
	}
	return errors.Join(err, s.target.Close())
}
