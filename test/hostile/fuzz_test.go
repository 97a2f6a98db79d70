package hostile

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// places counts the entries of a service by where they are.
type places struct {
	Waiting  int // not delivered
	Pending  int
	Leases   int // of pending entries
	Later    int
	Letters  int // dead letters
	Kept     int // entries that stay in the input stream because a dead letter refers to them
	Stranded int // delivered entries that are not pending
}

// whereabouts counts all places at one moment.
const whereabouts = `
local input, later, dead, group, prefix = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
local kept = {}
for _, letter in ipairs(redis.call('XRANGE', dead, '-', '+')) do
  for i = 1, #letter[2], 2 do
    if letter[2][i] == '_reference' then
      kept[letter[2][i + 1]] = true
    end
  end
end
local delivered
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', input)) do
  delivered = flat[8]
end
local n = { 0, 0, 0, redis.call('ZCARD', later), redis.call('XLEN', dead), 0, 0 }
local known = {}
for _, row in ipairs(redis.call('XPENDING', input, group, '-', '+', 100000)) do
  known[row[1]] = true
  n[2] = n[2] + 1
end
for _, entry in ipairs(redis.call('XRANGE', input, '(' .. delivered, '+')) do
  known[entry[1]] = true
  n[1] = n[1] + 1
end
for _, entry in ipairs(redis.call('XRANGE', input, '-', '+')) do
  if not known[entry[1]] then
    local at = kept[entry[1]] and 6 or 7
    n[at] = n[at] + 1
  end
end
n[3] = #redis.call('KEYS', prefix .. '*')
return n
`

// look returns where the entries are.
func (h *harness) look() (at places) {
	h.T.Helper()
	n, err := h.Try("EVAL", whereabouts, "3", h.keys.Input, h.keys.Later, h.keys.DeadLetters, h.layout.Group(), h.keys.LeasePrefix()).AsIntSlice()
	require.NoError(h.T, err)
	for i, to := range []*int{&at.Waiting, &at.Pending, &at.Leases, &at.Later, &at.Letters, &at.Kept, &at.Stranded} {
		*to = int(n[i])
	}
	return at
}

// settled waits until every entry has found its place: it is pending, and owned or parked there behind the owner of its stream, or
// it is delayed, or it is a dead letter. The neighbours are all owned.
func (h *harness) settled(m *member, done int) {
	h.T.Helper()
	total := len(h.entries) - done
	var at places
	h.until("all entries have found their places", func() bool {
		at = h.look()
		s := m.engine.Stats()
		return at.Waiting == 0 && at.Stranded == 0 && at.Pending == at.Leases+s.Parked && s.Held == at.Leases &&
			h.due() == 0 && at.Pending+at.Later+at.Letters == total
	}, m)
	for _, name := range h.neighbours {
		h.until(name+" is owned", func() bool { return m.held(name) }, m)
	}
}

// due returns how many delayed entries are due.
func (h *harness) due() int {
	h.T.Helper()
	return h.Num("ZCOUNT", h.keys.Later, "-inf", strconv.FormatInt(h.Now(), 10))
}

// checkRequeued checks that, with no engine running, all entries are still there and free for anyone.
func (h *harness) checkRequeued(m *member, done int) {
	h.T.Helper()
	at := h.look()
	if at.Pending != 0 || at.Leases != 0 || at.Stranded != 0 || at.Waiting+at.Later+at.Letters != len(h.entries)-done {
		h.fail("something is lost, or was not requeued", m)
	}
}

// sendBack sends the dead letters back. Only those that cannot be copied may stay, with an error; they do not block the others.
func (h *harness) sendBack(m *member) {
	h.T.Helper()
	inspector, err := scan.NewInspector(h.Client, h.service, scan.InspectorConfig{})
	require.NoError(h.T, err)
	_, err = inspector.SendBack(context.Background(), scan.Selection{})
	rooted := 0
	for _, e := range h.entries {
		if e.rooted {
			rooted++
		}
	}
	at := h.look()
	if at.Letters > rooted || (err != nil) != (at.Letters > 0) {
		h.fail(fmt.Sprintf("%d letters stay, and at most %d may: %v", at.Letters, rooted, err), m)
	}
}

// FuzzEntriesFindTheirPlaces: whatever is sent, read or recovered from a dead consumer, requeued by a shutdown, sent back from the
// dead letters and read again, ends up owned, waiting, or as a dead letter, each entry in one place; all valid entries are owned.
func FuzzEntriesFindTheirPlaces(f *testing.F) {
	for _, s := range seeds {
		f.Add(s.data)
	}
	server := servers.New(f)
	client := server.Client(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		t.Parallel() // without effect while fuzzing
		h := newHarness(t, server, client)
		h.send(data)
		m := h.start()
		h.settled(m, 0)
		m.stop()
		h.checkRequeued(m, 0)

		h.sendBack(m)
		h.checkRequeued(m, 0)
		m = h.start()
		h.settled(m, 0)
		done := 0
		for l := range m.engine.Leases() {
			require.NoError(t, l.Done(context.Background()), "%.80q", l.Stream())
			done++
		}
		require.GreaterOrEqual(t, done, len(h.neighbours))
		m.stop()
		h.checkRequeued(m, done)
	})
}
