package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/trouble"
)

// place is where pods run, one after the other, behind a link of their own. Troubles strike places. One goroutine uses a place;
// others may call journals and read troubles.
type place struct {
	ctx      context.Context // its end kills the pods
	name     string
	dir      string            // of journals and logs
	options  pod.WorkerOptions // of its pods, with the URL of the link
	link     *proxy.Proxy      // nil: there is none
	rnd      *rand.Rand
	outages  *outages                   // of the server; nil: there are none
	pod      *pod.Pod                   // the one that runs, or ran last; nil: none ran yet
	struck   map[string]int             // troubles, by name
	pick     func(trouble.Trouble) bool // those that may strike
	acts     bool                       // operators may take streams from a pod, which then may end with an error
	troubled []interval                 // when it was in trouble
	refused  int                        // starts that failed
	badEnds  []string                   // of pods that were to shut down cleanly and did not
	erred    int                        // pods that ended with an error, which is allowed
	other    string                     // path of another build that the first pod is of, and each later one at random; empty: none is
	isOther  bool                       // pod is
	older    int                        // pods that were

	troubles atomic.Int64 // the sum of struck

	mu  sync.Mutex
	all []*pod.Pod
}

// newPlace makes a place whose pods go through a proxy, unless none can stand in front of the target.
func newPlace(ctx context.Context, name, dir string, s *target.Target, o pod.WorkerOptions, rnd *rand.Rand, out *outages) (p *place, err error) {
	p = &place{ctx: ctx, name: name, dir: dir, options: o, rnd: rnd, outages: out, struck: make(map[string]int),
		pick: func(trouble.Trouble) bool { return true }}
	addr, why := s.SingleAddr()
	if why != "" {
		p.options.URL = s.URL
		return p, nil
	}
	if p.link, err = proxy.Start(ctx, addr); err != nil {
		return nil, err
	}
	if p.options.URL, err = s.Via(p.link.Addr()); err != nil {
		return nil, errors.Join(err, p.link.Stop())
	}
	return p, nil
}

// Start waits for the end of the previous pod, which was asked to end, starts the next one, and returns when it is ready. It retries a start
// that fails because the server is busy.
func (p *place) Start() error {
	if p.pod != nil && !p.pod.Ended {
		p.gone()
	}
	o := p.options
	run := fmt.Sprint(p.name, "-", len(p.all)+1)
	o.Seed, o.Log, o.Consumer = p.rnd.Uint64(), filepath.Join(p.dir, run+".log"), run
	if p.isOther = p.other != "" && (len(p.all) == 0 || p.rnd.IntN(2) == 0); p.isOther {
		o.Binary = p.other
		p.older++
	}
	next, err := p.start(run, o)
	for end := time.Now().Add(pod.Patience); err != nil && time.Now().Before(end) && measure.Pause(p.ctx, p.options.SessionTTL) == nil; {
		p.refused++
		next, err = p.start(run, o)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", run, err)
	}
	p.pod = next
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, next)
	return nil
}

// start starts a pod while the server is up.
func (p *place) start(run string, o pod.WorkerOptions) (*pod.Pod, error) {
	if p.outages != nil {
		p.outages.down.RLock()
		defer p.outages.down.RUnlock()
	}
	return pod.Start(p.ctx, p.dir, run, o)
}

// Kill is SIGKILL. It fails if the pod had ended by itself.
func (p *place) Kill() error {
	p.pod.Killed = true
	_ = p.pod.End(true) // the state of the process says more
	state := p.pod.Cmd.ProcessState
	if status, ok := state.Sys().(syscall.WaitStatus); p.ctx.Err() == nil && (!ok || status.Signal() != syscall.SIGKILL) {
		return fmt.Errorf("%s ended by itself: %v", p.pod.Journal.Party(), state)
	}
	return nil
}

// Stop asks the pod to hand everything back and end. It does not wait for the end.
func (p *place) Stop() error { return p.pod.In.Close() }

// gone waits for the end of a pod that was asked to end, and notes if that was no clean shutdown.
func (p *place) gone() {
	p.pod.Ended = true
	late := time.AfterFunc(pod.Patience, func() { _ = p.pod.Cmd.Process.Kill() })
	defer late.Stop()
	err := p.pod.Cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil || p.ctx.Err() != nil:
	case p.acts && errors.As(err, &exit) && exit.ExitCode() == 1:
		p.erred++
	default:
		p.badEnds = append(p.badEnds, fmt.Sprintf("%s: %v", p.pod.Journal.Party(), err))
	}
}

// end shuts the pod down cleanly, and waits for its end.
func (p *place) end() error {
	err := p.Stop()
	p.gone()
	return err
}

// Pause is SIGSTOP.
func (p *place) Pause() error { return p.signal(syscall.SIGSTOP) }

// Resume is SIGCONT.
func (p *place) Resume() error { return p.signal(syscall.SIGCONT) }

func (p *place) signal(s os.Signal) error {
	if err := p.pod.Cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%s: %w", p.pod.Journal.Party(), err)
	}
	return nil
}

// Link is the proxy of the pods; nil where there is none.
func (p *place) Link() *proxy.Proxy { return p.link }

// disturb has one trouble after the other strike until ctx ends; the last one has ended when it returns. Half of the troubles are
// shorter than the session TTL, so that both kinds are seen.
func (p *place) disturb(ctx context.Context) error {
	session := float64(p.options.SessionTTL)
	for measure.Pause(ctx, time.Duration(p.rnd.ExpFloat64()*session)) == nil {
		all := slices.DeleteFunc(trouble.Of(p), func(t trouble.Trouble) bool { return !p.pick(t) })
		if len(all) == 0 {
			return nil
		}
		what := all[p.rnd.IntN(len(all))]
		from := journal.Monotonic()
		heal, err := what.Strike(p, p.rnd)
		if err != nil {
			return err
		}
		p.struck[what.Name]++
		p.troubles.Add(1)
		_ = measure.Pause(ctx, time.Duration(2*p.rnd.Float64()*session)) // the loop sees the end of ctx
		err = heal()
		p.troubled = append(p.troubled, interval{from, journal.Monotonic()})
		if err != nil {
			return err
		}
	}
	return nil
}

// journals returns the journals of all pods that ran here.
func (p *place) journals() (all []*journal.Journal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.all {
		all = append(all, x.Journal)
	}
	return all
}

// close ends what runs here, whatever state it is in, and then the link. The journals cannot be read afterwards.
func (p *place) close() (err error) {
	for _, x := range p.all {
		if !x.Ended {
			_ = x.End(true) // it may have ended
		}
		err = errors.Join(err, x.Journal.Close())
	}
	if p.link != nil {
		err = errors.Join(err, p.link.Stop())
	}
	return err
}
