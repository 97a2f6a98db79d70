package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// stopLimit is how long a process may take to drain.
const stopLimit = 30 * time.Second

// fleet starts processes of the uptime monitor.
type fleet struct {
	program string
	dir     string   // of their logs
	args    []string // that all have
}

// process is one of them.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed after it was waited for
	err   error         // to be read after ended is closed

	killed bool
}

// start starts a process, and returns when it is ready.
func (f *fleet) start(ctx context.Context, name, listen string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(f.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has it
	args = append(append([]string{"-name", name, "-listen", listen}, f.args...), args...)
	p := &process{name: name, cmd: exec.Command(f.program, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the interrupt key of a terminal is the demo's
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.awaitReady(ctx, "http://"+listen+"/ready"); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", errors.Join(err, p.kill()), text)
	}
	return p, nil
}

func (p *process) awaitReady(ctx context.Context, address string) error {
	return until(ctx, p.name+" is ready", func() (bool, error) {
		select {
		case <-p.ended:
			return false, fmt.Errorf("%s has ended: %w", p.name, p.err)
		default:
		}
		answer, err := http.Get(address)
		if err != nil {
			return false, nil // it does not listen yet
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK, nil
	})
}

// kill ends a process at once.
func (p *process) kill() error {
	p.killed = true
	err := p.cmd.Process.Kill()
	<-p.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// stop has a process drain and end, and returns how long that took. One that has ended already is fine.
func (p *process) stop() (time.Duration, error) {
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	timer := time.NewTimer(stopLimit)
	defer timer.Stop()
	select {
	case <-p.ended:
		return time.Since(began), p.err
	case <-timer.C:
		return 0, errors.Join(fmt.Errorf("%s has not ended after %v", p.name, stopLimit), p.kill())
	}
}

// until waits for something.
func until(ctx context.Context, what string, ok func() (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		switch done, err := ok(); {
		case err != nil:
			return err
		case done:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
