package enginetest

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// ledger writes down what a test announced and sent, and which streams were done since, from the commands that the server ran.
type ledger struct {
	layout *cluster.Layout
	done   string // the SHA-1 of the script

	mu      sync.Mutex
	streams map[string]*account
	byLease map[string]*account // by the key of the lease
	order   []string            // names in the order of their first announcement
}

// account is that of one stream.
type account struct {
	published int      // how often it was announced whatever else there is of it: each of these is ended by itself
	ended     int      // how often it was done
	since     bool     // it was done since the last announcement
	messages  []string // IDs, in order
}

func newLedger(layout *cluster.Layout) *ledger {
	l := &ledger{layout: layout, streams: make(map[string]*account), byLease: make(map[string]*account)}
	for _, s := range lease.Scripts() {
		if s.Name() == "done" {
			l.done = s.SHA()
		}
	}
	return l
}

// announcing notes that a stream is about to be announced: it may be done before the call returns. always: also where it is owned.
func (l *ledger) announcing(stream string, always bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.streams[stream]
	if a == nil {
		a = &account{}
		l.streams[stream] = a
		l.byLease[l.layout.Keys(l.layout.Of(stream)).Lease(stream)] = a
		l.order = append(l.order, stream)
	}
	a.since = false
	if always {
		a.published++
	}
}

func (l *ledger) sent(stream, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[stream].messages = append(l.streams[stream].messages, id)
}

// names returns the streams that were announced, in the order in which they were first.
func (l *ledger) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.order...)
}

// of returns a copy of the account of a stream.
func (l *ledger) of(stream string) account {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.streams[stream]; a != nil {
		return *a
	}
	return account{}
}

// observe takes in a command that the server ran: what the script that ends entries for good has ended is done. Its arguments and
// its answer are at the head of lease/lua/done.lua.
func (l *ledger) observe(args []string, answer []byte) {
	if len(args) < 3 || (args[1] != l.done && !strings.EqualFold(args[0], "EVAL")) || !strings.HasPrefix(strings.ToUpper(args[0]), "EVAL") {
		return
	}
	if args[1] != l.done && sum(args[1]) != l.done {
		return
	}
	keys, err := strconv.Atoi(args[2])
	if err != nil || len(args) < 3+keys+3 {
		return
	}
	count, _ := strconv.Atoi(args[3+keys+2])
	verdicts := firstString(answer)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range min(count, len(verdicts), keys-1) {
		if a := l.byLease[args[3+1+i]]; a != nil && verdicts[i] == 'd' {
			a.ended++
			a.since = true
		}
	}
}

// firstString returns the first bulk string of an answer that is an array.
func firstString(answer []byte) string {
	_, rest, ok := bytes.Cut(answer, []byte("$"))
	if !ok {
		return ""
	}
	length, rest, ok := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	if !ok || err != nil || n < 0 || n > len(rest) {
		return ""
	}
	return string(rest[:n])
}

// sum is the SHA-1 by which Redis knows a script.
func sum(script string) string {
	digest := sha1.Sum([]byte(script))
	return hex.EncodeToString(digest[:])
}
