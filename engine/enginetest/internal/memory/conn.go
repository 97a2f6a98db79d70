package memory

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"sync"
)

// conn is a connection as the server sees it: a goroutine that reads and runs commands, and one that writes replies. The fields
// are guarded by the server's mutex, but for those that never change.
type conn struct {
	server *Server
	pipe   net.Conn
	out    replies
	ended  chan struct{} // closed when the connection ends
	once   sync.Once

	id       int64
	name     string
	resp3    bool
	granted  bool       // has given the password
	queued   [][]string // by MULTI; nil: no transaction
	dirty    bool       // a command of the transaction was refused
	channels []string
	patterns []string
	waits    *waiter // the command that waits
	leaving  bool    // ends when what was said to it is written
}

// accept begins a connection.
func (s *Server) accept(pipe net.Conn) error {
	c := &conn{server: s, pipe: pipe, ended: make(chan struct{}), out: replies{ready: make(chan struct{}, 1)}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	s.connections++
	c.id = s.connections
	s.conns[c] = struct{}{}
	s.running.Add(2)
	go c.read()
	go c.write()
	return nil
}

// end closes the connection. It waits for nothing.
func (c *conn) end() {
	c.once.Do(func() {
		close(c.ended)
		c.pipe.Close()
	})
}

func (c *conn) read() {
	defer c.server.running.Done()
	defer c.forget()
	r := bufio.NewReaderSize(c.pipe, maxLine)
	for {
		args, err := readCommand(r)
		var wrong protocolError
		if errors.As(err, &wrong) {
			c.say(encode(errorReply(wrong), false))
			c.out.finish()
			<-c.ended
			return
		}
		if err != nil {
			c.end()
			return
		}
		if !c.run(args) {
			c.out.finish()
			<-c.ended
			return
		}
	}
}

// forget removes an ended connection from the server.
func (c *conn) forget() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.observer != nil {
		s.observer.Left(c.id)
	}
	s.unsubscribe(c)
}

func (c *conn) write() {
	defer c.server.running.Done()
	defer c.end()
	for {
		select {
		case <-c.out.ready:
		case <-c.ended:
			return
		}
		text, last := c.out.take()
		if _, err := c.pipe.Write(text); err != nil || last {
			return
		}
	}
}

// say sends text to the client, after what was said before. It waits for nothing.
func (c *conn) say(text string) { c.out.add(text) }

// replies are what has been said to a client and not yet been written.
type replies struct {
	mu       sync.Mutex
	text     bytes.Buffer
	finished bool
	ready    chan struct{}
}

func (r *replies) add(text string) {
	r.mu.Lock()
	r.text.WriteString(text)
	r.mu.Unlock()
	r.wake()
}

// finish has the connection end when everything is written.
func (r *replies) finish() {
	r.mu.Lock()
	r.finished = true
	r.mu.Unlock()
	r.wake()
}

func (r *replies) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

func (r *replies) take() (text []byte, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text = bytes.Clone(r.text.Bytes())
	r.text.Reset()
	return text, r.finished
}
