package suite

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
)

// process is a worker in a process of its own, from outside.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

// startWorker starts this program once more, as a worker. ctx kills it.
func startWorker(ctx context.Context, o WorkerOptions) (*process, error) {
	return startSelf(ctx, o.URL, o.Log, "worker", "-prefix", o.Prefix,
		"-addr", o.Addr, "-service", o.Service, "-lease-ttl", o.LeaseTTL.String(), "-session-ttl", o.SessionTTL.String(),
		"-journal", o.Journal, "-pages", strconv.Itoa(o.Pages),
		"-max-batch", strconv.Itoa(o.MaxBatch), "-tick", o.Tick.String(), "-workers", strconv.Itoa(o.Workers), fmt.Sprint("-churn=", o.Churn),
		"-partitions", strconv.Itoa(o.Partitions), fmt.Sprint("-told=", o.Told), "-work", o.Work.String(), "-seed", strconv.FormatUint(o.Seed, 10),
		"-consumer", o.Consumer)
}

// startSelf starts this program once more. What it says of errors goes to the file at path log, or where ours goes if that is empty.
func startSelf(ctx context.Context, redis, log string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, args...)}
	p.cmd.Env = append(os.Environ(), EnvRedis+"="+redis)
	p.cmd.Stderr = os.Stderr
	if log != "" {
		f, err := os.Create(log)
		if err != nil {
			return nil, err
		}
		defer f.Close() // the child has its own by then
		p.cmd.Stderr = f
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(out)
	p.lines.Buffer(nil, 1<<20)
	return p, p.cmd.Start()
}

// ask sends a line to a worker and returns the answer.
func (p *process) ask(format string, args ...any) (snapshot, error) {
	return ask[snapshot](p, format, args...)
}

// answer is what a child says.
type answer interface{ failure() string }

func (s snapshot) failure() string { return s.Error }

// ask sends a line and returns the answer.
func ask[A answer](p *process, format string, args ...any) (a A, err error) {
	// A worker that could not start has answered before it was asked.
	_, failed := fmt.Fprintf(p.in, format+"\n", args...)
	if !p.lines.Scan() {
		return a, fmt.Errorf("worker: ended without an answer: %w", errors.Join(failed, p.lines.Err(), io.ErrUnexpectedEOF))
	}
	if err := json.Unmarshal(p.lines.Bytes(), &a); err != nil {
		return a, fmt.Errorf("worker: %w", err)
	}
	if text := a.failure(); text != "" {
		return a, fmt.Errorf("worker: %s", text)
	}
	return a, nil
}

// stop lets the worker hand everything back, and waits for its end.
func (p *process) stop() error {
	err := p.in.Close()
	return errors.Join(err, p.cmd.Wait())
}

// kill ends the worker with SIGKILL, and waits for its end.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
	return err
}
