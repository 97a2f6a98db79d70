package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/test/journal"
)

// drainTimeout is how long handing back may take.
const drainTimeout = 5 * time.Second

// process is an owner and its engine, which a feed runs. Both processes consist of one.
type process struct {
	engine   *engine.Engine
	owner    *owner
	registry *prometheus.Registry
	journal  *journal.Journal
	ended    chan error
}

// startProcess starts to own streams, at most that many if most is not 0.
func startProcess(o options, server rueidis.ClientOption, name, path string, most int) (*process, error) {
	p := &process{registry: prometheus.NewRegistry(), ended: make(chan error, 1)}
	var err error
	if p.journal, err = journal.Open(path, name, prefix, 3*o.streams); err != nil {
		return nil, err
	}
	p.owner = newOwner(p.journal)
	p.engine, err = engine.Open(server, service, append(o.engine(name, p.registry), engine.WithMaxStreams(most))...)
	var f *feed.Feed
	if err == nil {
		f, err = feed.New(p.engine, p.owner.handle, p.owner.config())
	}
	if err != nil {
		p.owner.close()
		return nil, errors.Join(err, p.journal.Close())
	}
	go func() {
		err := f.Run(context.Background())
		if err != nil {
			p.owner.fail(err)
		}
		p.owner.close()
		p.ended <- errors.Join(err, p.journal.Close())
	}()
	return p, nil
}

// shutdown hands everything back. It is called once. The journal cannot be read afterwards.
func (p *process) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	return errors.Join(p.engine.Shutdown(ctx), <-p.ended)
}

// snapshot is the state of a process, as it reports it.
type snapshot struct {
	Held     int
	Messages int64   // handled
	Renewed  float64 // renewals of leases so far
	Failure  string
}

func (p *process) report() snapshot {
	r := snapshot{
		Held: p.engine.Stats().Held, Messages: p.owner.messages.Load(),
		Renewed: measure.Counter(p.registry, "streamlease_renewals_total", "result", "kept"),
	}
	if err := p.owner.err(); err != nil {
		r.Failure = err.Error()
	}
	return r
}

// scripts returns how often this process has run a script.
func (p *process) scripts(name string) int64 {
	return int64(measure.Observations(p.registry, "streamlease_script_duration_seconds", "script", name))
}

func (r snapshot) err() error {
	if r.Failure == "" {
		return nil
	}
	return errors.New(r.Failure)
}
