package handling

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
)

// place is where processes run, one after the other. One goroutine uses a place.
type place struct {
	ctx     context.Context // its end kills the process
	name    string
	dir     string
	url     string
	options ReaderOptions
	process *pod.Process
	run     string   // name of the process that runs
	runs    int      // so far
	badEnds []string // of processes that were to drain and did not

	mu    sync.Mutex
	notes []*notes // of all processes, in their order
}

// start starts the next process, and returns when it answers. It retries a start that fails because the cluster is in trouble.
func (p *place) start() (err error) {
	for end := time.Now().Add(patience); ; {
		if err = p.try(); err == nil || time.Now().After(end) || measure.Pause(p.ctx, p.options.SessionTTL) != nil {
			return err
		}
		_ = p.process.Kill()
	}
}

func (p *place) try() (err error) {
	p.runs++
	p.run = fmt.Sprint(p.name, "-", p.runs)
	o := p.options
	o.Consumer, o.Notes = p.run, filepath.Join(p.dir, p.run+".notes")
	p.mu.Lock()
	p.notes = append(p.notes, &notes{process: p.run, path: o.Notes})
	p.mu.Unlock()
	p.process, err = pod.StartSelf(p.ctx, p.url, filepath.Join(p.dir, p.run+".log"), "soak-reader", "-service", o.Service,
		"-partitions", strconv.Itoa(o.Partitions), "-prefix", o.Prefix, "-consumer", o.Consumer, "-notes", o.Notes,
		"-lease-ttl", o.LeaseTTL.String(), "-session-ttl", o.SessionTTL.String(), "-checkpoint", o.Checkpoint.String())
	if err != nil {
		return err // there is no process
	}
	_, err = pod.Ask[Answer](p.process, "look")
	return err
}

// drain ends the process as an orchestrator does, and returns when it is gone.
func (p *place) drain() error { return p.process.Stop() }

func (p *place) signal(s syscall.Signal) error { return p.process.Cmd.Process.Signal(s) }

// collect adds what was noted since the last call to the audit.
func (p *place) collect(a *audit) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.notes {
		all, e := n.more()
		a.add(n.process, all)
		err = errors.Join(err, e)
	}
	return err
}
