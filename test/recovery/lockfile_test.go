package recovery

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/journal"
)

// forever is a session TTL for which no test waits: what is taken over before it has passed was taken over by proof.
const forever = time.Hour

// locked is a process with a lock file whose sessions never end by themselves.
func (h *harness) locked(name string) spec {
	return spec{
		Name: name, Session: forever, Lease: forever, Lock: filepath.Join(h.dir, name+".lock"), Pages: 10_000,
		Recovery: scan.Config{MaxCrashes: math.MaxInt, CrashDelay: time.Millisecond, MaxCrashDelay: 10 * time.Millisecond},
	}
}

// TestKilledProcessComesBackToItsStreams: kill -9, and the next process with the same lock file owns everything, again and again.
// Each death counts a crash, as always.
func TestKilledProcessComesBackToItsStreams(t *testing.T) {
	t.Parallel()
	const streams, deaths = 500, 4
	h := newHarness(t)
	s := h.locked("n")
	h.add(upTo(streams)...)
	c := h.child(s)
	h.ownedBy(streams, c)
	for range deaths {
		died := c.kill()
		c = h.child(s)
		h.ownedBy(streams, c)
		last := time.Duration(0)
		for _, e := range c.journal.Read() {
			last = max(last, e.From-died)
		}
		t.Logf("owned by the next process %v after the SIGKILL", last.Round(time.Millisecond))
	}
	entries, err := h.Try("XRANGE", h.keys.Input, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, streams)
	for _, e := range entries {
		require.Equal(t, "4", e.FieldValues[lease.FieldCrashes])
	}
	h.stateIs(state{Input: streams, Pending: streams, Leases: streams, Sessions: 1, Consumers: 1})
	require.Zero(t, c.stop())
	h.checkOwners()
}

// TestStoppedProcessKeepsItsStreams: a process that hangs, or is stopped, has the lock, however long that lasts. The next one does
// not start, and says why; the first one goes on with everything it had.
func TestStoppedProcessKeepsItsStreams(t *testing.T) {
	t.Parallel()
	const streams = 50
	h := newHarness(t)
	s := h.locked("n")
	h.add(upTo(streams)...)
	a := h.child(s)
	h.ownedBy(streams, a)
	a.pause()
	b := h.child(s)
	h.until("the second process has ended", b.gone)
	require.Equal(t, childFailed, b.state.ExitCode())
	log, err := os.ReadFile(b.log)
	require.NoError(t, err)
	for _, part := range []string{"waiting for its end", "lock file held by another run", "n." /* its name */, "if it hangs, end it"} {
		require.Contains(t, string(log), part)
	}
	require.Zero(t, strings.Count(string(log), "session opened"))
	require.Equal(t, state{Input: streams, Pending: streams, Leases: streams, Sessions: 1, Consumers: 1}, h.state())
	a.resume()
	h.ownedBy(streams, a)
	a.pause()
	a.kill()
	c := h.child(s)
	h.ownedBy(streams, c)
	require.Zero(t, c.stop())
	h.checkOwners()
}

// TestLivingProcessIsNotTakenFrom by one with the same consumer ID: neither with another lock file, nor without one, nor when somebody
// deleted the file, nor with a copy of it.
func TestLivingProcessIsNotTakenFrom(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, s *spec){
		"another file": func(_ *testing.T, s *spec) { s.Lock += ".other" },
		"no file":      func(_ *testing.T, s *spec) { s.Lock = "" },
		"deleted":      func(t *testing.T, s *spec) { require.NoError(t, os.Remove(s.Lock)) },
		"copied": func(t *testing.T, s *spec) {
			text, err := os.ReadFile(s.Lock)
			require.NoError(t, err)
			s.Lock += ".copy"
			require.NoError(t, os.WriteFile(s.Lock, text, 0o600))
		},
		"copied over it": func(t *testing.T, s *spec) {
			text, err := os.ReadFile(s.Lock)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(s.Lock+".new", text, 0o600))
			require.NoError(t, os.Rename(s.Lock+".new", s.Lock))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const streams = 20
			h := newHarness(t)
			s := h.locked("n")
			h.add(upTo(streams)...)
			a := h.child(s)
			h.ownedBy(streams, a)
			prepare(t, &s)
			a.pause()
			b := h.child(s)
			h.until("the second one has started", func() bool { return len(h.Consumers(h.keys.Input, h.layout.Group())) == 2 })
			h.awaitTime(2 * time.Second)
			require.Zero(t, b.held())
			a.resume()
			h.ownedBy(streams, a)
			require.Zero(t, b.stop())
			h.checkOwners()
		})
	}
}

// TestProcessThatIsKilledWhileItStarts leaves the proof of those before it to the next one.
func TestProcessThatIsKilledWhileItStarts(t *testing.T) {
	t.Parallel()
	const streams = 100
	h := newHarness(t)
	s := h.locked("n")
	h.add(upTo(streams)...)
	c := h.child(s)
	h.ownedBy(streams, c)
	for i := range 8 {
		c.kill()
		c = h.child(s)
		time.Sleep(time.Duration(i) * 15 * time.Millisecond) // somewhere between its first instruction and its first streams
	}
	h.ownedBy(streams, c)
	require.Zero(t, c.stop())
	h.checkOwners()
}

// TestRestartedProcessLeavesTheOthersAlone: a fleet of which one is killed and comes back. What it held is shared, and what the
// others hold stays where it is.
func TestRestartedProcessLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	const each = 100
	h := newHarness(t)
	var fleet []*child
	for i, name := range []string{"a", "b", "c"} {
		s := h.locked(name)
		s.Most = each
		fleet = append(fleet, h.child(s))
		for n := range each {
			h.add(i*each + n)
		}
		h.ownedBy((i+1)*each, anyOf(fleet)...)
	}
	before := journal.Monotonic()
	fleet[0].kill()
	fleet[0] = h.child(fleet[0].spec)
	h.ownedBy(3*each, anyOf(fleet)...)
	for _, c := range fleet[1:] {
		for _, e := range c.journal.Read() {
			require.Less(t, e.From, before, "the others took nothing new, since they have what they may have, and lost nothing")
		}
		require.Equal(t, each, c.held())
	}
	for _, c := range fleet {
		require.Zero(t, c.stop())
	}
	h.checkOwners()
}

func anyOf(all []*child) []interface{ held() int } {
	out := make([]interface{ held() int }, len(all))
	for i, c := range all {
		out[i] = c
	}
	return out
}
