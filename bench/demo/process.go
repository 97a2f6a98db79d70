package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
)

// goodbye is how long handing back may take after an interrupt.
const drainTimeout = 5 * time.Second

// process is an owner and its engine, which is all that either process is.
type process struct {
	engine   *engine.Engine
	owner    *owner
	registry *prometheus.Registry
	journal  *journal.Journal
	ended    chan error
}

// startProcess starts to own streams, at most so many if most is not 0.
func startProcess(o options, server rueidis.ClientOption, name, path string, most int) (*process, error) {
	p := &process{registry: prometheus.NewRegistry(), ended: make(chan error, 1)}
	reading, err := rueidis.NewClient(server)
	if err != nil {
		return nil, err
	}
	if p.journal, err = journal.Open(path, name, prefix, 3*o.streams); err != nil {
		reading.Close()
		return nil, err
	}
	p.engine, err = engine.Open(server, service, append(o.engine(name, p.registry), engine.WithMaxStreams(most))...)
	if err != nil {
		reading.Close()
		return nil, errors.Join(err, p.journal.Close())
	}
	p.owner = newOwner(reading, p.journal, o.streams)
	go func() {
		err := p.engine.Run(context.Background(), p.owner.handler())
		if err != nil {
			p.owner.fail(err)
		}
		p.owner.close()
		reading.Close()
		p.ended <- errors.Join(err, p.journal.Close())
	}()
	return p, nil
}

// shutdown hands everything back. It is called once; the journal cannot be read after it.
func (p *process) shutdown() error {
	patience, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	return errors.Join(p.engine.Shutdown(patience), <-p.ended)
}

// snapshot is what a process says of itself.
type snapshot struct {
	Held    int
	Read    int64   // streams
	Entries int64   // in them
	Renewed float64 // leases, so far
	Failure string
}

func (p *process) report() snapshot {
	r := snapshot{
		Held: p.engine.Stats().Held, Read: p.owner.read.Load(), Entries: p.owner.entriesRead.Load(),
		Renewed: measure.Counter(p.registry, "streamlease_renewals_total", "result", "kept"),
	}
	if err := p.owner.err(); err != nil {
		r.Failure = err.Error()
	}
	return r
}

// scripts is how often this process has run a script.
func (p *process) scripts(name string) int64 {
	return int64(measure.Observations(p.registry, "streamlease_script_duration_seconds", "script", name))
}

func (r snapshot) err() error {
	if r.Failure == "" {
		return nil
	}
	return errors.New(r.Failure)
}
