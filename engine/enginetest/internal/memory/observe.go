package memory

import "time"

// Observer sees all that a server runs, in order. Its methods are called while the server runs nothing else; they must not call it.
type Observer interface {
	// Begin is called when a dataset begins: with what the one of that identity has, or empty if that is "". It returns the new
	// one's identity, of forty hexadecimal digits.
	Begin(copied string, now time.Time) (id string)
	// Ran is called after a command of a client was run.
	Ran(c Command)
	// Left is called when a connection has ended.
	Left(session int64)
}

// Command is a command that was run, and its reply.
type Command struct {
	Server  string // the identity of the dataset
	Session int64  // the connection
	Now     time.Time
	Args    []string // must not be changed
	Reply   []byte   // as on the wire; empty: none yet, it waits. When its time is up, there is a reply without anything being run
}

// tell tells of a command, and its reply. s.mu is held.
func (c *conn) tell(args []string, reply string) {
	s := c.server
	if s.observe != nil && reply != "" {
		s.observe(args, []byte(reply))
	}
	if s.observer != nil {
		s.observer.Ran(Command{s.data.id, c.id, s.data.now, args, []byte(reply)})
	}
}
