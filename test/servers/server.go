package servers

import (
	"bytes"
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

	"github.com/redis/rueidis"
)

const (
	logName      = "server.log"
	tailLines    = 20
	portTries    = 20
	stopPatience = 3 * time.Second
	// startLimit bounds the start of a server if the caller sets no deadline. A start takes about 30 ms.
	startLimit = 20 * time.Second
)

var (
	// ErrStopped is returned by methods that need a server that has not been stopped.
	ErrStopped = errors.New("servers: stopped")

	errPortTaken = errors.New("servers: port was taken meanwhile")
	errExited    = errors.New("servers: ended before it was ready")
)

// Server is a redis-server on a port that it keeps across restarts. Its methods may be called from several goroutines; those that
// start, stop, pause or resume the process run one at a time.
type Server struct {
	binary string
	dir    string
	ownDir bool
	port   int

	mu struct {
		sync.Mutex // held while the process is started or stopped
		stopped    bool
		paused     bool
	}
	opts Options  // ReplicaOf is guarded by mu
	env  []string // of the process, in addition to ours

	current struct {
		sync.Mutex
		proc    *process
		lastLog string // set when a temporary directory is removed
	}
}

// Start starts a server and returns when it answers; a replica, when it is in step with its master. ctx bounds the start only.
// Errors wrap [ErrNoBinary] if there is nothing to run, otherwise they include the end of the server's log.
func Start(ctx context.Context, o Options) (*Server, error) {
	binary, err := o.findBinary()
	if err != nil {
		return nil, err
	}
	o.Args = append([]string(nil), o.Args...)
	s := &Server{binary: binary, dir: o.Dir, opts: o}
	if s.dir == "" {
		s.ownDir = true
		if s.dir, err = os.MkdirTemp("", "streamlease-redis-"); err != nil {
			return nil, fmt.Errorf("servers: %w", err)
		}
	}
	for range portTries {
		if s.port, err = reservePort(); err != nil {
			break
		}
		if err = s.first(ctx); err == nil {
			return s, nil
		}
		releasePort(s.port)
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	if s.ownDir {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return nil, err
}

// first launches the process for the first time. On an error no process is left.
func (s *Server) first(ctx context.Context) (err error) {
	if !s.opts.OwnClock {
		return s.launch(ctx)
	}
	if s.env, err = clockEnv(ctx, s.dir); err != nil {
		return err
	}
	if err := s.launch(ctx); err != nil {
		return err
	}
	if err := s.checkClock(ctx); err != nil {
		return errors.Join(err, s.process().kill())
	}
	return nil
}

// launch starts a process on s.port. On an error none is left.
func (s *Server) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	logStart := s.logSize()
	proc, err := spawn(s.binary, s.opts.commandLine(s.dir, s.port), s.env, s.logPath())
	if err != nil {
		return fmt.Errorf("servers: start %s: %w", s.binary, err)
	}
	s.setProcess(proc)
	err = s.awaitReady(ctx, proc)
	if err == nil {
		return nil
	}
	err = errors.Join(err, proc.kill())
	if log := s.logSince(logStart); bytes.Contains(log, []byte("Address already in use")) {
		err = errors.Join(errPortTaken, err)
	}
	return fmt.Errorf("servers: start %s: %w\n%s", s.binary, err, s.LogTail())
}

// awaitReady waits until the started process itself listens on the port and has loaded its data.
func (s *Server) awaitReady(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// If the server could not listen, another process has the port, which may never answer.
		select {
		case <-proc.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	var last error
	err := poll(ctx, func() bool {
		if !proc.alive() {
			return true
		}
		info, err := s.Info(ctx, "")
		if err != nil {
			// After a timeout, what the last reply lacked is more helpful.
			if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				last = err
			}
			return false
		}
		switch {
		case info["process_id"] != strconv.Itoa(proc.pid):
			last = fmt.Errorf("servers: port %d is served by process %s, not by %d which was started (a wrapper must exec the server)",
				s.port, info["process_id"], proc.pid)
		case info["loading"] != "0" && info["redis_mode"] != "sentinel":
			last = errors.New("servers: still loading")
		case s.opts.ReplicaOf != nil && info["master_link_status"] != "up":
			last = errors.New("servers: link to the master is not up")
		default:
			return true
		}
		return false
	})
	if !proc.alive() {
		return fmt.Errorf("%w: %v", errExited, proc.err)
	}
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// Addr returns the address of the server, 127.0.0.1 and its port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Port returns the port, which stays the same across restarts.
func (s *Server) Port() int { return s.port }

// PID returns the process ID of the current run, or of the last one.
func (s *Server) PID() int { return s.process().pid }

// Dir returns the working directory of the server. A temporary one is removed by Stop.
func (s *Server) Dir() string { return s.dir }

// ClientOption returns options for a client of this server alone: no cache, no cluster.
func (s *Server) ClientOption() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:       []string{s.Addr()},
		Password:          s.opts.Password,
		DisableCache:      true,
		ForceSingleClient: true,
	}
}

// Stop ends the server for good: with SIGTERM, and with SIGKILL if it does not end within seconds or is paused. It waits for
// the end and removes a temporary directory. Stopping again does nothing.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopped {
		return nil
	}
	if err := s.endLocked(); err != nil {
		return err
	}
	s.mu.stopped = true
	releasePort(s.port)
	if !s.ownDir {
		return nil
	}
	tail := s.readTail()
	s.current.Lock()
	s.current.lastLog = tail
	s.current.Unlock()
	return os.RemoveAll(s.dir)
}

// endLocked ends the process and changes nothing else.
func (s *Server) endLocked() error {
	proc := s.process()
	if s.mu.paused {
		s.mu.paused = false
		return proc.kill()
	}
	return proc.terminate(stopPatience)
}

// Kill ends the process with SIGKILL, as a crash would, and waits until it is gone. Restart brings it back.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.paused = false
	return s.process().kill()
}

// Pause stops the process with SIGSTOP and returns when it has stopped: connections stay open, the kernel accepts new ones, and
// nothing is answered.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	proc := s.process()
	if s.mu.stopped || !proc.alive() {
		return ErrStopped
	}
	if err := proc.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	s.mu.paused = true
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return poll(ctx, func() bool { return !proc.alive() || standsStill(proc.pid) })
}

// Resume continues a paused process. It does nothing to a running one.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.paused = false
	return s.process().signal(syscall.SIGCONT)
}

// answers reports whether the server runs, as far as we have not stopped, killed or paused it.
func (s *Server) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.mu.paused && s.process().alive()
}

// Restart ends the process, unless Kill has done so, and starts a new one with the same port and directory. With keepData the new
// one has the data of the old one: without Persist the old one saves it first, which fails if it was killed. Without keepData the
// new one starts empty. After Stop it returns [ErrStopped].
func (s *Server) Restart(ctx context.Context, keepData bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopped {
		return ErrStopped
	}
	if keepData && !s.opts.Persist {
		if _, err := s.Call(ctx, "SAVE"); err != nil {
			return fmt.Errorf("servers: cannot keep the data: %w", err)
		}
	}
	if err := s.endLocked(); err != nil {
		return err
	}
	if !keepData {
		if err := s.removeData(); err != nil {
			return err
		}
	}
	return s.launch(ctx)
}

// Follow makes the server a read-only replica of master, also after restarts, and returns when they are in step.
func (s *Server) Follow(ctx context.Context, master *Server) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.Call(ctx, "REPLICAOF", "127.0.0.1", strconv.Itoa(master.port)); err != nil {
		return err
	}
	s.opts.ReplicaOf = master
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	return s.awaitReady(ctx, s.process())
}

// forgetMaster makes the server a master at its next start, until somebody changes that.
func (s *Server) forgetMaster() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.ReplicaOf = nil
}

// Promote makes a replica a master, also after restarts. It takes effect at once.
func (s *Server) Promote(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.Call(ctx, "REPLICAOF", "NO", "ONE"); err != nil {
		return err
	}
	s.opts.ReplicaOf = nil
	return nil
}

// LogTail returns the last 20 lines of the server's log.
func (s *Server) LogTail() string {
	if tail := s.readTail(); tail != "" {
		return tail
	}
	s.current.Lock()
	defer s.current.Unlock()
	return s.current.lastLog
}

func (s *Server) readTail() string {
	log := strings.TrimRight(string(s.logSince(0)), "\n")
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

func (s *Server) logPath() string { return filepath.Join(s.dir, logName) }

func (s *Server) logSize() int {
	info, err := os.Stat(s.logPath())
	if err != nil {
		return 0
	}
	return int(info.Size())
}

// logSince returns what was logged after an offset, or nothing if there is no log.
func (s *Server) logSince(offset int) []byte {
	log, err := os.ReadFile(s.logPath())
	if err != nil {
		return nil
	}
	return log[min(offset, len(log)):]
}

func (s *Server) removeData() error {
	for _, name := range []string{"dump.rdb", "appendonlydir", "appendonly.aof"} {
		if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) process() *process {
	s.current.Lock()
	defer s.current.Unlock()
	return s.current.proc
}

func (s *Server) setProcess(p *process) {
	s.current.Lock()
	defer s.current.Unlock()
	s.current.proc = p
}
