package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is one run of a server binary.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended and has been waited for
	err  error         // how it ended; read after done
}

// spawn starts the command with env added to the environment and its output appended to logPath. The goroutine that it starts ends
// with the command.
func spawn(binary string, args, env []string, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal is tied to the thread that forked, so that thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		release, err := startGuarded(cmd)
		// The child has its own descriptor by now.
		err = errors.Join(err, log.Close())
		if cmd.Process != nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if cmd.Process == nil {
			return
		}
		p.err = cmd.Wait()
		release()
		close(p.done)
	}()
	if err := <-started; err != nil {
		if p.pid != 0 {
			return nil, errors.Join(err, p.kill())
		}
		return nil, err
	}
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal does nothing if the process has ended: its ID may belong to another process.
func (p *process) signal(s syscall.Signal) error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("servers: signal %v to process %d: %w", s, p.pid, err)
	}
	return nil
}

// kill ends the process, even if it is paused, and returns when it is gone.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// terminate asks the process to end, and kills it after patience.
func (p *process) terminate(patience time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		return p.kill()
	}
}

// poll calls check every few milliseconds until it returns true or ctx ends.
func poll(ctx context.Context, check func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
