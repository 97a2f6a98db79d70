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
	// startLimit bounds the start of a server whose caller set no deadline; it takes some 30 ms.
	startLimit = 20 * time.Second
)

var (
	// ErrStopped is returned by what needs a server that Stop has not ended for good.
	ErrStopped = errors.New("servers: stopped")

	errPortTaken = errors.New("servers: port taken meanwhile")
	errExited    = errors.New("servers: ended before it was ready")
)

// Server is one redis-server on a port that it keeps across restarts. Its methods may be called from several goroutines;
// those that start, stop, pause or resume the process run one after the other.
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
	env  []string // of the process, besides ours

	current struct {
		sync.Mutex
		proc    *process
		lastLog string // set when a temporary directory is removed
	}
}

// Start starts a server and returns when it answers: a replica when it is in step with its master. ctx bounds the start
// only. Errors wrap [ErrNoBinary] where there is nothing to run, else they carry the end of the server's log.
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

// first is launch for the first time; on an error no process is left.
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

// launch starts a process on s.port; on an error none is left.
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

// awaitReady waits until the process that listens on the port is the one that was started, and has loaded its data.
func (s *Server) awaitReady(ctx context.Context, proc *process) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		// Whoever holds the port of a server that could not listen may never answer.
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
			// Of a wait that was given up, what the last answer lacked says more.
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

// Addr is the address of the server, 127.0.0.1 and its port.
func (s *Server) Addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Port stays the same across restarts.
func (s *Server) Port() int { return s.port }

// PID is the process number of the current run, or of the last one.
func (s *Server) PID() int { return s.process().pid }

// Dir is the working directory of the server. A temporary one is gone after Stop.
func (s *Server) Dir() string { return s.dir }

// ClientOption is what a client of this server alone needs: no cache, no cluster.
func (s *Server) ClientOption() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:       []string{s.Addr()},
		Password:          s.opts.Password,
		DisableCache:      true,
		ForceSingleClient: true,
	}
}

// Stop ends the server for good, with SIGTERM and then, when it does not go within seconds or is paused, with SIGKILL. It
// waits for the end and removes a temporary directory. Stopping again does nothing.
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

// endLocked stops the process and leaves everything else.
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

// Pause stops the process with SIGSTOP and returns when it stands still: connections stay open, new ones are accepted by
// the kernel, nothing is answered.
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

// Resume lets a paused process go on; it does nothing to one that runs.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.paused = false
	return s.process().signal(syscall.SIGCONT)
}

// answers is false for a server that was stopped, killed or paused by us, and has not been brought back.
func (s *Server) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.mu.paused && s.process().alive()
}

// Restart ends the process, unless Kill has done so, and starts another one on the same port and directory. With keepData
// the new one has the data of the old one: it is saved first where Persist is off, which a killed server cannot do any
// more and is an error then. Without keepData it starts empty. After Stop it returns [ErrStopped].
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

// Follow makes the server a read-only replica of master, also after a restart, and returns when they are in step.
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

// forgetMaster makes the server a master at its next start, which others may change then.
func (s *Server) forgetMaster() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.ReplicaOf = nil
}

// Promote makes a replica a master, also after a restart. It takes effect at once.
func (s *Server) Promote(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.Call(ctx, "REPLICAOF", "NO", "ONE"); err != nil {
		return err
	}
	s.opts.ReplicaOf = nil
	return nil
}

// LogTail is the end of the server's log, about 20 lines.
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

// logSince is what was logged behind an offset; nothing when there is no log.
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
