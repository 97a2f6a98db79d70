package notices

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Options say how a node answers. The zero value is a node of version 7.4 that announces maintenance.
type Options struct {
	Version string // "": 7.4.0
	Auth    string // "user password" that HELLO must carry; "": none
	Refuse  string // error, with its '-', in place of the reply to the opt-in; "": none
	Hello   string // error, with its '-', in place of the reply to HELLO; "": none
	Before  string // pushed between the opt-in and its reply
	After   string // pushed right after the reply to the opt-in
	Mute    bool   // PING gets no reply

	TLS *tls.Config // of Listen; nil: not encrypted
}

// Node is one node, with any number of connections. Its methods may be called from any goroutine.
type Node struct {
	listener net.Listener
	group    sync.WaitGroup

	mu       sync.Mutex
	opts     Options
	conns    map[net.Conn]*peer
	commands []string
	closed   bool
}

// peer is one connection. Its mutex is held while something is written to it.
type peer struct {
	sync.Mutex
	conn net.Conn
	on   bool
	sent int // bytes
}

// sendLocked writes to the connection.
func (p *peer) sendLocked(text string) error {
	n, err := io.WriteString(p.conn, text)
	p.sent += n
	return err
}

// New makes a node without an address. It serves the connections that are given to Serve.
func New(o Options) *Node {
	return &Node{opts: o, conns: make(map[net.Conn]*peer)}
}

// Listen makes a node that listens on a loopback port, until Close.
func Listen(o Options) (*Node, error) {
	n := New(o)
	var err error
	if n.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	if o.TLS != nil {
		n.listener = tls.NewListener(n.listener, o.TLS)
	}
	n.group.Go(func() {
		for {
			conn, err := n.listener.Accept()
			if err != nil {
				return
			}
			n.group.Go(func() { n.Serve(conn) })
		}
	})
	return n, nil
}

// Addr returns the node's address.
func (n *Node) Addr() string { return n.listener.Addr().String() }

// Close stops the node and closes every connection.
func (n *Node) Close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	if n.listener != nil {
		n.listener.Close()
	}
	n.Drop()
	n.group.Wait()
}

// Drop closes every connection.
func (n *Node) Drop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for conn := range n.conns {
		conn.Close()
	}
}

// Set changes how the node answers from now on.
func (n *Node) Set(o Options) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opts = o
}

// Serve answers commands on a connection until it ends.
func (n *Node) Serve(conn net.Conn) {
	defer conn.Close()
	p := &peer{conn: conn}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return
	}
	n.conns[conn] = p
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.conns, conn)
		n.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for {
		words, err := request(in)
		if err != nil || n.answer(p, words) != nil {
			return
		}
	}
}

// answer answers one command.
func (n *Node) answer(p *peer, words []string) error {
	n.mu.Lock()
	n.commands = append(n.commands, strings.Join(words, " "))
	o := n.opts
	n.mu.Unlock()
	switch strings.ToUpper(words[0]) {
	case "HELLO":
		return p.write(o.hello(words))
	case "PING":
		if o.Mute {
			return nil
		}
		return p.write("+PONG\r\n")
	case "CLIENT":
		if o.Refuse != "" {
			return p.write(o.Refuse + "\r\n")
		}
		// In one write, so that nothing pushed to all connections comes in between.
		p.Lock()
		defer p.Unlock()
		p.on = true
		return p.sendLocked(o.Before + "+OK\r\n" + o.After)
	}
	return p.write("-ERR unknown command\r\n")
}

func (o Options) hello(words []string) string {
	if o.Hello != "" {
		return o.Hello + "\r\n"
	}
	if o.Auth != "" && !strings.Contains(strings.Join(words, " "), " AUTH "+o.Auth) {
		return "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	}
	version := o.Version
	if version == "" {
		version = "7.4.0"
	}
	return fmt.Sprintf("%%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$%d\r\n%s\r\n$5\r\nproto\r\n:3\r\n", len(version), version)
}

func (p *peer) write(text string) error {
	p.Lock()
	defer p.Unlock()
	return p.sendLocked(text)
}

// Push writes raw bytes to every connection that has opted in, and returns how many there were.
func (n *Node) Push(raw string) (count int) {
	for _, p := range n.peers() {
		p.Lock()
		if p.on {
			if p.sendLocked(raw) == nil {
				count++
			}
		}
		p.Unlock()
	}
	return count
}

// PushIn writes raw bytes in two parts to the connection that has opted in, with nothing else in between. f runs between
// them, with the number of bytes of any kind that were sent on the connection so far.
func (n *Node) PushIn(first string, f func(sent int), second string) error {
	for _, p := range n.peers() {
		p.Lock()
		defer p.Unlock()
		if !p.on {
			continue
		}
		if err := p.sendLocked(first); err != nil {
			return err
		}
		f(p.sent)
		return p.sendLocked(second)
	}
	return errors.New("notices: no connection has opted in")
}

func (n *Node) peers() []*peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	peers := make([]*peer, 0, len(n.conns))
	for _, p := range n.conns {
		peers = append(peers, p)
	}
	return peers
}

// Listening returns how many open connections have opted in.
func (n *Node) Listening() (on int) {
	for _, p := range n.peers() {
		p.Lock()
		if p.on {
			on++
		}
		p.Unlock()
	}
	return on
}

// Commands returns every command that the node received except PING, words joined by spaces.
func (n *Node) Commands() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.commands), func(c string) bool { return c == "PING" })
}

// Pings returns how many PINGs the node received.
func (n *Node) Pings() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	pings := 0
	for _, c := range n.commands {
		if c == "PING" {
			pings++
		}
	}
	return pings
}

// request reads one command: an array of strings.
func request(in *bufio.Reader) ([]string, error) {
	count, err := header(in, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, count)
	for i := range words {
		size, err := header(in, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
		words[i] = string(word[:size])
	}
	return words, nil
}

func header(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, errors.New("not a command")
	}
	size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err == nil && (size < 1 && kind == '*' || size < 0 || size > 1<<16) {
		err = errors.New("not a command")
	}
	return size, err
}
