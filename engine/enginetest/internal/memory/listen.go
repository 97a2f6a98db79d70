package memory

import (
	"errors"
	"net"
)

// Serve accepts connections until the listener is closed, and returns nil then. It is for the real clock: in a bubble, connect by
// a [Link].
func (s *Server) Serve(l net.Listener) error {
	for {
		pipe, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.accept(pipe); err != nil {
			pipe.Close()
		}
	}
}

// Require has clients give a password, from their next connection on. Empty: none.
func (s *Server) Require(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = password
}

// OnShutdown has the command SHUTDOWN call f, on a goroutine of its own. Without, it is refused.
func (s *Server) OnShutdown(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onShutdown = f
}

// Configure sets a setting that CONFIG SET knows.
func (s *Server) Configure(name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err, failed := s.data.configure([]string{"CONFIG", "SET", name, value}).(error); failed {
		return err
	}
	return nil
}
