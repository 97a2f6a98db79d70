package handling

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// drainPatience is how long a drain may take, which is far more than the drain timeout of engines.
	drainPatience = time.Minute
	// answerPatience is how long a process may take to start, and to answer.
	answerPatience = time.Minute
	// quitPatience is how long a process may take to write its stacks.
	quitPatience = 10 * time.Second
	// maxStacks is how many bytes of the stacks of a process are shown. The log has all of them.
	maxStacks = 256 << 10
	// maxLine is how much of a logged line is shown.
	maxLine = 4 << 10
)

// errHangs is that of a process that did not do in time what it was asked.
var errHangs = errors.New("hangs")

// place is where processes run, one after the other. One goroutine uses a place.
type place struct {
	ctx     context.Context // its end kills the process
	name    string
	dir     string
	url     string
	options ReaderOptions
	process *pod.Process
	run     string                         // name of the process that runs
	runs    int                            // so far
	badEnds []string                       // of processes that were to start or to drain, and did not
	excused int                            // those while servers were in trouble
	trouble func(since time.Duration) bool // whether servers were

	mu    sync.Mutex
	notes []*notes // of all processes, in their order
}

// start starts the next process, and returns when it answers. It retries a start that fails because the cluster is in trouble.
func (p *place) start() (err error) {
	for end := time.Now().Add(patience); ; {
		began := journal.Monotonic()
		err = p.try()
		p.judge(began, err)
		if err == nil || errors.Is(err, errHangs) || p.process == nil || time.Now().After(end) || measure.Pause(p.ctx, p.options.SessionTTL) != nil {
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
	p.process, err = pod.StartSelf(p.ctx, p.url, p.log(), "soak-reader", "-service", o.Service,
		"-partitions", strconv.Itoa(o.Partitions), "-prefix", o.Prefix, "-consumer", o.Consumer, "-notes", o.Notes,
		"-lease-ttl", o.LeaseTTL.String(), "-session-ttl", o.SessionTTL.String(), "-checkpoint", o.Checkpoint.String())
	if err != nil {
		return err // there is no process
	}
	return p.look()
}

// judge notes an error of a start or an end, unless servers were in trouble since then: they may fail then, and must not hang.
func (p *place) judge(since time.Duration, err error) {
	switch {
	case err == nil:
	case !errors.Is(err, errHangs) && p.trouble(since):
		p.excused++
	default:
		p.badEnds = append(p.badEnds, fmt.Sprintf("%s: %v", p.run, err))
	}
}

// look asks the process whether it is well.
func (p *place) look() error {
	return p.within(answerPatience, func() error {
		_, err := pod.Ask[Answer](p.process, "look")
		return err
	})
}

// drain ends the process as an orchestrator does, and returns when it is gone.
func (p *place) drain() error { return p.within(drainPatience, p.process.Stop) }

// kill is SIGKILL. It fails if the process had ended by itself.
func (p *place) kill() error {
	_ = p.process.Kill() // the state of the process says more
	state := p.process.Cmd.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); p.ctx.Err() == nil && (!ok || status.Signal() != syscall.SIGKILL) {
		return fmt.Errorf("%s ended by itself: %v", p.run, state)
	}
	return nil
}

// within calls a function that waits for the process. When the time for that is up the process is ended such that it writes its stacks, which
// are in the error then.
func (p *place) within(d time.Duration, wait func() error) error {
	returned := make(chan error, 1)
	go func() { returned <- wait() }()
	if err, ok := await(returned, d); ok {
		return err
	}
	_ = p.signal(syscall.SIGQUIT)
	err, ok := await(returned, quitPatience)
	if !ok {
		_ = p.process.Cmd.Process.Kill()
		err = <-returned
	}
	return fmt.Errorf("%s %w: not done in %v: %w\n%s", p.run, errHangs, d, err, p.stacks())
}

// await waits for an error for that long.
func await(from <-chan error, d time.Duration) (err error, ok bool) {
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case err := <-from:
		return err, true
	case <-late.C:
		return nil, false
	}
}

// stacks returns what the process wrote when it was ended by SIGQUIT.
func (p *place) stacks() string {
	text, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	_, stacks, found := strings.Cut(string(text), "SIGQUIT: quit")
	if !found {
		return "it wrote no stacks"
	}
	return stacks[:min(len(stacks), maxStacks)]
}

// errors returns the errors that the processes have logged: the library logs none because servers are in trouble.
func (p *place) errors() (all []string, err error) {
	for _, n := range p.notes {
		text, e := os.ReadFile(strings.TrimSuffix(n.path, ".notes") + ".log")
		err = errors.Join(err, e)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, " level=ERROR ") {
				all = append(all, n.process+": "+line[:min(len(line)-1, maxLine)])
			}
		}
	}
	return all, err
}

func (p *place) log() string { return filepath.Join(p.dir, p.run+".log") }

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
