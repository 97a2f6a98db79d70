package storm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
)

const (
	// startPatience is how long a place goes on starting a process while servers are in trouble.
	startPatience = 2 * time.Minute
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

// Place is where processes run, one after the other. One goroutine uses a place. The fields up to Trouble are set before.
type Place struct {
	Alive   context.Context // its end kills the process
	Name    string
	Dir     string // of notes and logs
	URL     string // of a node
	Session time.Duration
	// Args are the arguments with which this program becomes a process of that name, with a file for its notes. It answers each line of its
	// input, and drains when that ends.
	Args    func(run, notes string) []string
	Trouble func(since time.Duration) bool // whether servers were in trouble

	BadEnds []string // of processes that were to start or to drain, and did not
	Excused int      // those while servers were in trouble

	process *pod.Process
	run     string // name of the process that runs
	runs    int    // so far

	mu   sync.Mutex
	past []Run
}

// Run is a process that runs or ran at a place.
type Run struct {
	Name  string
	Notes string // path of the file for its notes
}

// Start starts the next process, and returns when it answers. It retries a start that fails because the cluster is in trouble.
func (p *Place) Start() (err error) {
	for end := time.Now().Add(startPatience); ; {
		began := journal.Monotonic()
		err = p.try()
		p.Judge(began, err)
		if err == nil || errors.Is(err, errHangs) || p.process == nil || time.Now().After(end) || measure.Pause(p.Alive, p.Session) != nil {
			return err
		}
		_ = p.process.Kill()
	}
}

func (p *Place) try() (err error) {
	p.runs++
	p.run = fmt.Sprint(p.Name, "-", p.runs)
	r := Run{p.run, filepath.Join(p.Dir, p.run+".notes")}
	p.mu.Lock()
	p.past = append(p.past, r)
	p.mu.Unlock()
	if p.process, err = pod.StartSelf(p.Alive, p.URL, p.log(), p.Args(r.Name, r.Notes)...); err != nil {
		return err // there is no process
	}
	return p.Look()
}

// Judge notes an error of a start or an end, unless servers were in trouble since then: they may fail then, and must not hang.
func (p *Place) Judge(since time.Duration, err error) {
	switch {
	case err == nil:
	case !errors.Is(err, errHangs) && p.Trouble(since):
		p.Excused++
	default:
		p.BadEnds = append(p.BadEnds, fmt.Sprintf("%s: %v", p.run, err))
	}
}

// Look asks the process whether it is well.
func (p *Place) Look() error {
	return p.within(answerPatience, func() error {
		_, err := pod.Ask[answer](p.process, "look")
		return err
	})
}

// Drain ends the process as an orchestrator does, and returns when it is gone.
func (p *Place) Drain() error { return p.within(drainPatience, p.process.Stop) }

// kill is SIGKILL. It fails if the process had ended by itself.
func (p *Place) kill() error {
	_ = p.process.Kill() // the state of the process says more
	state := p.process.Cmd.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); p.Alive.Err() == nil && (!ok || status.Signal() != syscall.SIGKILL) {
		return fmt.Errorf("%s ended by itself: %v", p.run, state)
	}
	return nil
}

// within calls a function that waits for the process. When the time for that is up the process is ended such that it writes its stacks, which
// are in the error then.
func (p *Place) within(d time.Duration, wait func() error) error {
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
func (p *Place) stacks() string {
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

// Errors returns the errors that the processes have logged: the library logs none because servers are in trouble.
func (p *Place) Errors() (all []string, err error) {
	for _, n := range p.Runs() {
		text, e := os.ReadFile(strings.TrimSuffix(n.Notes, ".notes") + ".log")
		err = errors.Join(err, e)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, " level=ERROR ") {
				all = append(all, n.Name+": "+line[:min(len(line)-1, maxLine)])
			}
		}
	}
	return all, err
}

func (p *Place) log() string { return filepath.Join(p.Dir, p.run+".log") }

func (p *Place) signal(s syscall.Signal) error { return p.process.Cmd.Process.Signal(s) }

// Runs are all processes of the place so far, in their order.
func (p *Place) Runs() []Run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.past)
}

// Abandon waits for the end of the process, if there is one: Alive has ended.
func (p *Place) Abandon() {
	if p.process != nil {
		_ = p.process.Cmd.Wait()
	}
}

// answer is what matters of what a process answers: whether it is well.
type answer struct{ Error string }

// Failure implements pod.Answer.
func (a answer) Failure() string { return a.Error }
