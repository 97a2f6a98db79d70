package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/journal"
)

// envSleeper makes this binary the process that is stopped. It contains the address of the server.
const envSleeper = "STREAMLEASE_TEST_SLEEPER"

// sleeping is the number of streams that the stopped process owns.
const sleeping = 20

// line is what the sleeper reports, as JSON, one report a line.
type line struct {
	Kind   string // owns, believes or ended
	Stream string
	Token  api.Token
	// At is a time on the clock that all processes of a machine share: before the look for believes, after it for ended.
	At time.Duration
	// Gap is the longest time between two looks so far.
	Gap   time.Duration
	Cause string
}

// sleeper owns streams and looks at its leases in a tight loop. For each it keeps the last moment at which it believed it owned
// the stream, by either of the two ways to ask, and reports that when the lease has ended. It runs until its standard input ends.
func sleeper(addr string) error {
	out := json.NewEncoder(os.Stdout)
	var mu sync.Mutex
	leases := make(map[api.Lease]bool)
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true}, service,
		engine.WithConsumerID("sleeper"), engine.WithLeaseTTL(shortTTL), engine.WithSessionTTL(shortTTL),
		engine.WithMaxStreams(sleeping))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	go func() {
		last, longest := journal.Monotonic(), time.Duration(0)
		believed := make(map[api.Lease]time.Duration)
		for ctx.Err() == nil {
			mu.Lock()
			for l := range leases {
				ctx := l.Context()
				at := journal.Monotonic()
				held := l.Remaining() > 0
				at2 := journal.Monotonic()
				if ctx.Err() == nil {
					held, at = true, at2
				}
				now := journal.Monotonic()
				last, longest = now, max(longest, now-last)
				if held {
					if believed[l] == 0 {
						_ = out.Encode(line{Kind: "owns", Stream: l.Stream(), Token: l.Token(), At: at})
					}
					believed[l] = at
					continue
				}
				delete(leases, l)
				_ = out.Encode(line{Kind: "believes", Stream: l.Stream(), Token: l.Token(), At: believed[l]})
				_ = out.Encode(line{Kind: "ended", Stream: l.Stream(), Token: l.Token(), At: journal.Monotonic(), Gap: longest,
					Cause: fmt.Sprint(context.Cause(l.Context()))})
			}
			mu.Unlock()
		}
	}()
	return e.Run(ctx, api.Funcs{Added: func(_ context.Context, n api.Notification) error {
		mu.Lock()
		leases[n.Lease] = true
		mu.Unlock()
		return nil
	}})
}

// Trace: a process that owns streams is stopped for longer than its TTLs, and continued. While it is stopped others take over its
// streams, but not before the deadlines on the server have passed. From the first instruction after SIGCONT the process believes
// it owns none of them: Remaining is 0 and the contexts have ended, before any timer or reply from Redis can have caused that.
// Then it carries on, and may own other streams again.
func TestStoppedProcess(t *testing.T) {
	h := newHarness(t)
	said, child := startSleeper(t, h.server.Addr())
	h.announce(names(sleeping)...)
	first := make(map[string]line)
	for len(first) < sleeping {
		l := said.next(t)
		require.Equal(t, "owns", l.Kind)
		first[l.Stream] = l
	}
	b := h.join("b", h.server.ClientOption())
	h.eventually(func() bool { return b.ready() == nil }, "b to be ready")

	require.NoError(t, child.Process.Signal(syscall.SIGSTOP))
	h.takeOver("sleeper.")
	from := make(map[string]time.Duration)
	h.eventually(func() bool {
		for _, s := range b.held() {
			if from[s] == 0 {
				from[s] = journal.Monotonic()
			}
		}
		return len(from) == sleeping
	}, "b to own all")
	require.NoError(t, child.Process.Signal(syscall.SIGCONT))

	believed, ended := make(map[string]line), make(map[string]line)
	for len(ended) < sleeping {
		l := said.next(t)
		switch {
		case l.Token != first[l.Stream].Token:
		case l.Kind == "believes":
			believed[l.Stream] = l
		case l.Kind == "ended":
			ended[l.Stream] = l
		}
	}
	longest := time.Duration(0)
	for s, own := range b.given() {
		require.Less(t, believed[s].At, from[s], "%s: owned by two", s)
		require.Greater(t, own.Token(), first[s].Token)
		require.Contains(t, ended[s].Cause, "lost")
		longest = max(longest, ended[s].Gap)
	}
	require.Greater(t, longest, shortTTL/2, "the process was stopped between two looks")

	// It carries on with another session: it gets a new stream when nobody else takes any.
	b.engine.SetMaxStreams(sleeping)
	h.announce("new")
	for {
		if l := said.next(t); l.Kind == "owns" && l.Stream == "new" {
			break
		}
	}
	h.finishBy(b, names(sleeping)...)
}

// takeOver does by hand, and strictly, what a recovery does: when the deadlines of a consumer's session and leases have passed, it
// deletes what is left of the leases and announces the streams again.
func (h *harness) takeOver(prefix string) {
	h.T.Helper()
	h.eventually(func() bool {
		now, _ := h.serverNow()
		members, err := h.Try("ZRANGE", h.keys.Sessions, "0", "-1", "WITHSCORES").AsZScores()
		require.NoError(h.T, err)
		for _, m := range members {
			if strings.HasPrefix(m.Member, prefix) && int64(m.Score) > now {
				return false
			}
		}
		return true
	}, "the end of the session")
	h.recover(prefix)
}

// recover requeues everything that is pending for the consumers with a prefix, unless that has been done.
func (h *harness) recover(prefix string) {
	h.Do("EVAL", `
		for _, p in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000)) do
			if string.sub(p[2], 1, #ARGV[2]) == ARGV[2] then
				local fields = redis.call('XRANGE', KEYS[1], p[1], p[1])[1][2]
				local name = cjson.decode(fields[2]).DataStreamName
				redis.call('XADD', KEYS[1], '*', unpack(fields))
				redis.call('XACK', KEYS[1], ARGV[1], p[1])
				redis.call('XDEL', KEYS[1], p[1])
				redis.call('DEL', ARGV[3] .. name)
			end
		end`, "1", h.keys.Input, h.layout.Group(), prefix, h.keys.Lease(""))
}

// finishBy lets the owner of streams end them.
func (h *harness) finishBy(m *member, streams ...string) {
	h.T.Helper()
	for _, s := range streams {
		h.eventually(func() bool { return h.doneBy(s) }, "%s to be done by %s", s, m.name)
	}
	h.checkOwners()
}

// reports are the lines that a sleeper writes.
type reports struct{ lines chan line }

func (s *reports) next(t *testing.T) line {
	t.Helper()
	select {
	case l, ok := <-s.lines:
		require.True(t, ok, "the process has ended")
		return l
	case <-time.After(patience):
		require.FailNow(t, "the process reports nothing")
		return line{}
	}
}

func startSleeper(t *testing.T, addr string) (*reports, *exec.Cmd) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), envSleeper+"="+addr)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	s := &reports{lines: make(chan line, 100*sleeping)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.lines)
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			var l line
			if json.Unmarshal(scanner.Bytes(), &l) == nil {
				s.lines <- l
			}
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		_ = child.Process.Signal(syscall.SIGCONT)
		<-read
		require.NoError(t, child.Wait())
	})
	return s, child
}
