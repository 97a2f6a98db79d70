package pod

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/streamlease/streamlease/bench/address"
)

// Process is a child process, which answers each line of its input with a line of JSON.
type Process struct {
	Cmd   *exec.Cmd
	In    io.WriteCloser // its end ends the process
	lines *bufio.Scanner
}

// StartWorker starts this program again, as a worker. The end of ctx kills it. Another build of it may be older, and is not told of Balance and
// Often.
func StartWorker(ctx context.Context, o WorkerOptions) (*Process, error) {
	args := []string{"worker", "-prefix", o.Prefix,
		"-service", o.Service, "-lease-ttl", o.LeaseTTL.String(), "-session-ttl", o.SessionTTL.String(),
		"-journal", o.Journal, "-pages", strconv.Itoa(o.Pages),
		"-max-batch", strconv.Itoa(o.MaxBatch), "-tick", o.Tick.String(), "-workers", strconv.Itoa(o.Workers), fmt.Sprint("-churn=", o.Churn),
		"-partitions", strconv.Itoa(o.Partitions), fmt.Sprint("-timed=", o.Timed), "-work", o.Work.String(), "-seed", strconv.FormatUint(o.Seed, 10),
		"-consumer", o.Consumer}
	if o.Binary != "" {
		return start(ctx, o.Binary, o.URL, o.Log, args...) // it may not know what follows
	}
	if o.Balance != "" {
		args = append(args, "-balance", string(o.Balance))
	}
	if o.Often {
		args = append(args, "-often")
	}
	return StartSelf(ctx, o.URL, o.Log, args...)
}

// StartSelf starts this program again, with these arguments and the URL of a Redis. Its standard error goes to the file at path log, or to
// our own if log is empty. The end of ctx kills it.
func StartSelf(ctx context.Context, redis, log string, args ...string) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(ctx, self, redis, log, args...)
}

func start(ctx context.Context, binary, redis, log string, args ...string) (p *Process, err error) {
	p = &Process{Cmd: exec.CommandContext(ctx, binary, args...)}
	p.Cmd.Env = append(os.Environ(), address.Environ(redis)...)
	p.Cmd.Stderr = os.Stderr
	if log != "" {
		f, err := os.Create(log)
		if err != nil {
			return nil, err
		}
		defer f.Close() // the child has its own descriptor by then
		p.Cmd.Stderr = f
	}
	if p.In, err = p.Cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.Cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(out)
	p.lines.Buffer(nil, 1<<20)
	return p, p.Cmd.Start()
}

// Ask sends a line to a worker and returns its answer.
func (p *Process) Ask(format string, args ...any) (Snapshot, error) {
	return Ask[Snapshot](p, format, args...)
}

// Answer is the answer of a child.
type Answer interface {
	Failure() string // empty: it succeeded
}

// Failure implements Answer.
func (s Snapshot) Failure() string { return s.Error }

// Ask sends a line to a child and returns its answer.
func Ask[A Answer](p *Process, format string, args ...any) (a A, err error) {
	// A worker that cannot start answers before it is asked.
	_, failed := fmt.Fprintf(p.In, format+"\n", args...)
	if !p.lines.Scan() {
		return a, fmt.Errorf("worker: ended without an answer: %w", errors.Join(failed, p.lines.Err(), io.ErrUnexpectedEOF))
	}
	if err := json.Unmarshal(p.lines.Bytes(), &a); err != nil {
		return a, fmt.Errorf("worker: %w", err)
	}
	if text := a.Failure(); text != "" {
		return a, fmt.Errorf("worker: %s", text)
	}
	return a, nil
}

// Stop shuts the process down, in which a worker hands everything back, and waits for its end.
func (p *Process) Stop() error {
	err := p.In.Close()
	return errors.Join(err, p.Cmd.Wait())
}

// Terminate is SIGTERM, after which a worker hands everything back. It waits for the end of the process.
func (p *Process) Terminate() error {
	err := p.Cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, p.Cmd.Wait())
}

// Kill kills the process with SIGKILL, and waits for its end.
func (p *Process) Kill() error {
	err := p.Cmd.Process.Kill()
	_ = p.Cmd.Wait() // it was killed
	return err
}
