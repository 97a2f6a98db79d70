package pod

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/test/journal"
)

// Pod is a worker with a journal.
type Pod struct {
	*Process
	Journal *journal.Journal
	Ended   bool // End was called, or its end was waited for otherwise
	Killed  bool // by a trouble
}

// Fleet is the pods of one measurement.
type Fleet struct {
	Options WorkerOptions
	Dir     string // of the journals
	Pods    []*Pod
}

// Add starts one more pod, and returns when it is ready. Its journal has room for that many ownerships.
func (f *Fleet) Add(ctx context.Context, ownerships int) (*Pod, error) {
	o := f.Options
	o.Pages = ownerships
	p, err := Start(ctx, f.Dir, fmt.Sprint("pod-", len(f.Pods)), o)
	if err == nil {
		f.Pods = append(f.Pods, p)
	}
	return p, err
}

// Start starts a pod with a journal in dir, and returns when it is ready.
func Start(ctx context.Context, dir, name string, o WorkerOptions) (*Pod, error) {
	o.Journal = filepath.Join(dir, name+".journal")
	j, err := journal.Open(o.Journal, name, o.Prefix, o.Pages)
	if err != nil {
		return nil, err
	}
	p := &Pod{Journal: j}
	if p.Process, err = StartWorker(ctx, o); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	late := time.AfterFunc(Patience, func() { _ = p.Cmd.Process.Kill() })
	defer late.Stop()
	if _, err = p.Ask("look"); err != nil {
		return nil, errors.Join(err, p.End(true), j.Close())
	}
	return p, nil
}

// End shuts a pod down cleanly or kills it with SIGKILL, and waits for its end.
func (p *Pod) End(kill bool) error {
	p.Ended = true
	if kill {
		return p.Kill()
	}
	return p.Stop()
}

// Close shuts down the pods that have not ended. The journals cannot be read afterwards.
func (f *Fleet) Close() (err error) {
	for _, p := range f.Pods {
		if !p.Ended {
			err = errors.Join(err, p.End(false))
		}
		err = errors.Join(err, p.Journal.Close())
	}
	return err
}

// Await waits until these pods together have come to n ownerships.
func Await(ctx context.Context, n int, within time.Duration, pods ...*Pod) error {
	sum := 0
	err := measure.Poll(ctx, within, func() (bool, error) {
		sum = 0
		for _, p := range pods {
			sum += p.Journal.Len()
		}
		return sum >= n, nil
	})
	if err != nil {
		return fmt.Errorf("%d of %d streams are owned after %v: %w", sum, n, within, err)
	}
	return nil
}
