package memory

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// conn is a connection as the server sees it: a goroutine that reads and runs commands, and one that writes replies.
type conn struct {
	server *Server
	pipe   net.Conn
	peer   *server.Peer
	replies
	queued [][]string // by MULTI; nil: no transaction
	ended  chan struct{}
	once   sync.Once
}

// serve begins a connection and returns the client's end.
func (s *Server) serve() (net.Conn, error) {
	client, pipe := net.Pipe()
	c := &conn{server: s, pipe: pipe, ended: make(chan struct{}), replies: replies{ready: make(chan struct{}, 1)}}
	c.peer = server.NewPeer(bufio.NewWriter(&c.replies))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errDown
	}
	s.conns[c] = struct{}{}
	go c.read()
	go c.write()
	return client, nil
}

// end closes the connection. It waits for nothing.
func (c *conn) end() {
	c.once.Do(func() {
		close(c.ended)
		c.peer.Close()
		c.pipe.Close()
	})
}

func (c *conn) read() {
	defer func() {
		c.end()
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
	}()
	r := bufio.NewReader(c.pipe)
	for {
		args, err := readCommand(r)
		if err != nil {
			return
		}
		c.run(args)
		if c.peer.Closed() {
			return
		}
	}
}

func (c *conn) write() {
	for {
		select {
		case <-c.ready:
			if _, err := c.pipe.Write(c.take()); err != nil {
				c.end()
				return
			}
		case <-c.ended:
			return
		}
	}
}

// run runs one command of the client.
func (c *conn) run(args []string) {
	s, name := c.server, strings.ToUpper(args[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return
	}
	s.calls[name]++
	c.begin()
	defer c.observed(args)
	switch {
	case name == "MULTI" && c.queued == nil:
		c.queued = [][]string{}
		c.peer.WriteInline("OK")
		c.peer.Flush()
	case name == "DISCARD" && c.queued != nil:
		c.queued = nil
		c.peer.WriteInline("OK")
		c.peer.Flush()
	case name == "EXEC" && c.queued != nil:
		c.exec()
	case c.queued != nil:
		c.queued = append(c.queued, args)
		c.peer.WriteInline("QUEUED")
		c.peer.Flush()
	case name == "XREAD" || name == "XREADGROUP":
		c.wait(args)
	default:
		c.do(args)
	}
}

// observed tells the observer of a command and its answer.
func (c *conn) observed(args []string) {
	if observe := c.server.observe; observe != nil {
		observe(args, c.said())
	}
}

// do runs a command that does not wait. The server's mutex is held.
func (c *conn) do(args []string) {
	s := c.server
	s.data.at(time.Now())
	s.data.do(c.peer, args)
	s.wake()
}

// exec runs what was queued, at one moment.
func (c *conn) exec() {
	queued := c.queued
	c.queued = nil
	c.peer.WriteLen(len(queued))
	for _, args := range queued {
		c.do(args)
	}
	c.peer.Flush()
}

// wait runs a command that may wait for entries. The server's mutex is held, but not while it waits.
func (c *conn) wait(args []string) {
	s := c.server
	args = append([]string(nil), args...)
	limit, blocks := blockOf(args)
	var timeout <-chan time.Time
	for {
		s.data.at(time.Now())
		reply, _ := stream.Do(keys{s.data, c.peer}, s.data.now, args)
		if _, none := reply.(stream.NullArray); !none || !blocks {
			c.answer(reply)
			s.wake() // a reader is a consumer that is new, and has entries pending
			return
		}
		if timeout == nil && limit > 0 {
			timer := time.NewTimer(limit)
			defer timer.Stop()
			timeout = timer.C
		}
		s.pin(args)
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			blocks = false
		case <-c.ended:
			s.mu.Lock()
			return
		}
		s.mu.Lock()
		if s.down {
			return
		}
	}
}

func (c *conn) answer(r stream.Reply) {
	c.peer.WriteRaw(encode(r, c.peer.Resp3))
	c.peer.Flush()
}

// pin replaces "$" of an XREAD by what it means now, so that it means the same when the command looks again. s.mu is held.
func (s *Server) pin(args []string) {
	for i, a := range args {
		if !strings.EqualFold(a, "STREAMS") {
			continue
		}
		names := args[i+1:]
		for n := range len(names) / 2 {
			if names[len(names)/2+n] == "$" {
				last := "0-0"
				if found := s.data.streams[names[n]]; found != nil {
					last = found.LastID()
				}
				names[len(names)/2+n] = last
			}
		}
		return
	}
}

// blockOf returns the time that a command may wait, 0 for no limit, and whether it may wait at all.
func blockOf(args []string) (limit time.Duration, blocks bool) {
	for i, a := range args {
		switch {
		case strings.EqualFold(a, "STREAMS"):
			return 0, false
		case strings.EqualFold(a, "BLOCK") && i+1 < len(args):
			ms, err := strconv.ParseInt(args[i+1], 10, 64)
			return time.Duration(ms) * time.Millisecond, err == nil && ms >= 0
		}
	}
	return 0, false
}

// replies are what has been said to a client and not yet been written.
type replies struct {
	mu    sync.Mutex
	text  bytes.Buffer
	last  bytes.Buffer // in answer to the command that runs
	ready chan struct{}
}

func (r *replies) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.Reset()
}

// said returns what was answered since begin.
func (r *replies) said() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.last.Bytes())
}

func (r *replies) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.text.Write(b)
	r.last.Write(b)
	r.mu.Unlock()
	select {
	case r.ready <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (r *replies) take() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := bytes.Clone(r.text.Bytes())
	r.text.Reset()
	return b
}

// readCommand reads an array of bulk strings.
func readCommand(r *bufio.Reader) ([]string, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	if n < 1 {
		return nil, fmt.Errorf("memory: a command of %d arguments", n)
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("memory: not a command: %q", line)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err == nil && n < 0 {
		err = fmt.Errorf("memory: a length of %d", n)
	}
	return n, err
}
