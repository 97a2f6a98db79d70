package suite

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/target"
)

// ContenderOptions say what a contender is.
type ContenderOptions struct {
	Model     string
	TTL       time.Duration
	Clustered bool // the server is a Redis Cluster
}

// contenderState is the state of a contender, as it answers.
type contenderState struct {
	Took       time.Duration // in answer to "take"
	Held       int
	Lost       int64
	Renewed    float64
	Goroutines int // how many more than before the consumer was made
	CPU        time.Duration
	Memory     int64 // bytes of live heap and stacks, how many more than when the consumer ran idle; only in answer to "memory"
	RSS        int64
	Error      string
}

// Failure implements pod.Answer.
func (s contenderState) Failure() string { return s.Error }

// startContender starts this program again, as a contender. The end of ctx kills it.
func startContender(ctx context.Context, s *target.Target, o ContenderOptions) (*pod.Process, error) {
	return pod.StartSelf(ctx, s.URL, "", "contender", "-model", o.Model, "-ttl", o.TTL.String(), fmt.Sprint("-clustered=", o.Clustered))
}

// Contender is a process with a consumer of one model. It executes commands, lines on in, and answers each with a line of JSON on out:
//
//	take SERVICE N   times how long a consumer that starts needs for N announced streams, and hands them back
//	own SERVICE      starts the consumer that is measured
//	await N          answers when N streams are held
//	look             answers at once
//	memory           answers after a garbage collection
//
// It ends when in does.
func Contender(ctx context.Context, o ContenderOptions, in io.Reader, out io.Writer) error {
	c := &contender{options: o}
	encode := json.NewEncoder(out)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		s, err := c.execute(ctx, strings.Fields(lines.Text()))
		if err != nil {
			s.Error = err.Error()
		}
		if err := encode.Encode(s); err != nil {
			return err
		}
	}
	if c.owner == nil {
		return nil
	}
	return c.owner.end(ctx)
}

type contender struct {
	options ContenderOptions
	owner   *owner // nil before "own"
	before  int    // goroutines
	idle    int64  // memory
}

// owner is a consumer that runs.
type owner struct {
	model
	ended chan error
}

func (c *contender) start(ctx context.Context, service string, added func()) (*owner, error) {
	m, err := newModel(c.options.Model, service, c.options.TTL, c.options.Clustered, added)
	if err != nil {
		return nil, err
	}
	o := &owner{model: m, ended: make(chan error, 1)}
	go func() { o.ended <- m.run(ctx) }()
	return o, nil
}

func (o *owner) end(ctx context.Context) error {
	if err := o.stop(ctx); err != nil {
		return err
	}
	return <-o.ended
}

func (c *contender) execute(ctx context.Context, words []string) (s contenderState, err error) {
	switch words[0] {
	case "take":
		n, _ := strconv.Atoi(words[2])
		s.Took, err = c.take(ctx, words[1], n)
		return s, err
	case "own":
		if err := c.own(ctx, words[1]); err != nil {
			return s, err
		}
	case "await":
		n, _ := strconv.Atoi(words[1])
		if err := c.await(ctx, n); err != nil {
			return s, err
		}
	}
	s.Held, s.Lost, s.Renewed = c.owner.held(), c.owner.lost(), c.owner.renewed()
	s.Goroutines = runtime.NumGoroutine() - c.before
	if s.CPU, err = measure.CPU(); err != nil {
		return s, err
	}
	if s.RSS, err = measure.RSS(); err != nil {
		return s, err
	}
	if words[0] == "memory" {
		s.Memory = int64(measure.Memory()) - c.idle
	}
	return s, nil
}

// take times a consumer from its start until it was notified of all streams.
func (c *contender) take(ctx context.Context, service string, n int) (took time.Duration, err error) {
	var added atomic.Int64
	all := make(chan struct{})
	began := time.Now()
	o, err := c.start(ctx, service, func() {
		if added.Add(1) == int64(n) {
			close(all)
		}
	})
	if err != nil {
		return 0, err
	}
	select {
	case <-all:
		took = time.Since(began)
	case err := <-o.ended:
		return 0, fmt.Errorf("the consumer ended: %w", err)
	case <-time.After(pod.Patience):
		return 0, fmt.Errorf("%d of %d streams were taken in %v", added.Load(), n, pod.Patience)
	}
	return took, o.end(ctx)
}

// settledGoroutines returns the number of goroutines once it no longer changes: those of a consumer that has ended are counted until
// each has run to its end.
func settledGoroutines() int {
	for last := -1; ; {
		n := runtime.NumGoroutine()
		if n == last {
			return n
		}
		last = n
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *contender) own(ctx context.Context, service string) (err error) {
	c.before = settledGoroutines() + 1 // one goroutine waits for run, as a main function would
	if c.owner, err = c.start(ctx, service, func() {}); err != nil {
		return err
	}
	deadline := time.Now().Add(pod.Patience)
	for c.owner.ready(ctx) != nil {
		select {
		case err := <-c.owner.ended:
			return fmt.Errorf("the consumer ended: %w", err)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the consumer is not ready after %v: %w", pod.Patience, c.owner.ready(ctx))
		}
	}
	c.idle = int64(measure.Memory())
	return nil
}

func (c *contender) await(ctx context.Context, n int) error {
	err := measure.Poll(ctx, pod.Patience, func() (bool, error) {
		select {
		case err := <-c.owner.ended:
			return false, fmt.Errorf("the consumer ended: %w", err)
		default:
			return c.owner.held() >= n, nil
		}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%d of %d streams are held after %v", c.owner.held(), n, pod.Patience)
	}
	return err
}
