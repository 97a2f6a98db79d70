package suite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/streamlease/streamlease/test/journal"
)

// pod is a worker with a journal.
type pod struct {
	*process
	journal *journal.Journal
	ended   bool
	killed  bool // by somebody who had it suffer
}

// fleet is the pods of one measurement.
type fleet struct {
	options WorkerOptions
	dir     string // of the journals
	pods    []*pod
}

// add starts one more pod, and returns when it is ready. pages is how many ownerships it may come to.
func (f *fleet) add(ctx context.Context, pages int) (*pod, error) {
	o := f.options
	o.Pages = pages
	p, err := startPod(ctx, f.dir, fmt.Sprint("pod-", len(f.pods)), o)
	if err == nil {
		f.pods = append(f.pods, p)
	}
	return p, err
}

// startPod starts a pod with a journal in dir, and returns when it is ready.
func startPod(ctx context.Context, dir, name string, o WorkerOptions) (*pod, error) {
	o.Journal = filepath.Join(dir, name+".journal")
	j, err := journal.Open(o.Journal, name, o.Prefix, o.Pages)
	if err != nil {
		return nil, err
	}
	p := &pod{journal: j}
	if p.process, err = startWorker(ctx, o); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if _, err = p.ask("look"); err != nil {
		return nil, errors.Join(err, p.end(true), j.Close())
	}
	return p, nil
}

// end ends a pod, in good order or by SIGKILL, and returns when it is gone.
func (p *pod) end(kill bool) error {
	p.ended = true
	if kill {
		return p.kill()
	}
	return p.stop()
}

// close ends all that is left. Nobody reads the journals after that.
func (f *fleet) close() (err error) {
	for _, p := range f.pods {
		if !p.ended {
			err = errors.Join(err, p.end(false))
		}
		err = errors.Join(err, p.journal.Close())
	}
	return err
}

// await waits until these pods were told of so many streams together.
func await(ctx context.Context, n int, within time.Duration, pods ...*pod) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		sum := 0
		for _, p := range pods {
			sum += p.journal.Len()
		}
		if sum >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d streams are owned after %v: %w", sum, n, within, ctx.Err())
		case <-tick.C:
		}
	}
}
