package memory

import (
	"errors"
	"os"
	"sync"
	"time"
)

// errDown is what a connection attempt gets while the server is down or the link is cut.
var errDown = errors.New("connection refused")

// Server is a server with at most one replica. Its methods may be called at any time.
type Server struct {
	mu          sync.Mutex // held while a command runs
	data        *dataset
	replica     *dataset // what a failover leaves; nil: all of data
	conns       map[*conn]struct{}
	connections int64 // how many there have been
	subscribers map[*conn]struct{}
	waiting     []*waiter // the first first
	alarm       *time.Timer
	config      map[string]string
	down        bool
	started     time.Time
	servers     int // how many there have been: each has an identity of its own
	calls       map[string]int
	observe     func(args []string, answer []byte) // nil: nobody
	observer    Observer                           // nil: nobody

	running    sync.WaitGroup // goroutines of connections
	password   string
	onShutdown func()
	pid        int
}

// New returns a server that is up and empty.
func New() *Server { return Observed(nil) }

// Observed returns a server that is up and empty, and tells o of all that it does.
func Observed(o Observer) *Server {
	s := &Server{observer: o, conns: make(map[*conn]struct{}), subscribers: make(map[*conn]struct{}), config: settings(), started: time.Now(),
		calls: make(map[string]int), pid: os.Getpid()}
	s.data = newDataset(s.nextID(""), s)
	return s
}

// Close ends all connections, and the server. It returns when nothing of it runs any more.
func (s *Server) Close() {
	s.Stop()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.close()
	if s.replica != nil {
		s.replica.close()
	}
}

// Stop takes the server down: connections end, and none can be made. What it has remains.
func (s *Server) Stop() {
	s.mu.Lock()
	s.down = true
	conns := s.conns
	s.conns = make(map[*conn]struct{})
	s.waiting = nil
	s.arm()
	s.mu.Unlock()
	for c := range conns {
		c.end()
	}
}

// Start brings the server up again, as the same one with all that it had: as after a break of its network.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
}

// Restart ends all connections and starts the server with another identity: with all that it had, as one that had written it to
// disk, or empty.
func (s *Server) Restart(keep bool) {
	s.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.data
	if keep {
		s.data = old.clone(s.nextID(old.id))
	} else {
		s.data = newDataset(s.nextID(""), s)
	}
	old.close()
	s.down = false
}

// StopReplication has the replica fall behind: what is written from now on is lost by a failover.
func (s *Server) StopReplication() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replica == nil {
		s.data.at(time.Now())
		s.replica = s.data.clone(s.nextID(s.data.id))
	}
}

// FailOver makes the replica the master: connections end, the identity changes, and what the replica has not received is lost.
func (s *Server) FailOver() {
	s.mu.Lock()
	behind := s.replica
	s.mu.Unlock()
	if behind == nil {
		s.Restart(true)
		return
	}
	s.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.close()
	s.data, s.replica = s.replica, nil
	s.down = false
}

// Calls returns how often each command was called by clients since the start of the test; those of scripts do not count.
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]int, len(s.calls))
	for name, n := range s.calls {
		out[name] = n
	}
	return out
}

// Observe has f called with each command of a client that was answered, and its answer as it is on the wire, before the next one
// runs. A command that waits is answered when it has something. f must not call the server. It replaces the one before.
func (s *Server) Observe(f func(args []string, answer []byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observe = f
}

// nextID returns the identity of another server: forty hexadecimal digits, as Redis's run_id. The server begins with what the one
// of that identity has, or empty.
func (s *Server) nextID(copied string) string {
	if s.observer != nil {
		return s.observer.Begin(copied, time.Now())
	}
	s.servers++
	return runID(s.servers)
}
