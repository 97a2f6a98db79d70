package scan

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/proxy"
)

// lateTwice delays the next page, and then its first entry alone, but not the calls that read no body.
func (h *harness) lateTwice(p *proxy.Proxy) {
	for nth := 1; nth <= 2; nth++ {
		p.Inject(proxy.Fault{
			Command: "claimdead", Nth: nth, Match: says(h.layout.Group(), "-1"), Action: proxy.Delay, Delay: 3 * time.Second,
		})
	}
}

// A page that is not answered in time is made smaller, down to one entry. That one, if it is not answered either, is stepped
// over: it must not keep the others from recovery.
func TestAPageThatIsNotAnsweredInTimeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 50, 2*time.Second, time.Hour })
	h.open(dead)
	const n = 5
	for i := range n {
		h.announce(fmt.Sprint("s", i))
	}
	h.own(dead, n)
	h.kill(dead, time.Minute)
	far, p := h.throughProxy()
	h.lateTwice(p)
	r := recovery{Store: far.store, me: ann, dead: dead}
	page, err := r.page(h.ctx, "-")
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.True(t, page[0].Unread)
	require.Empty(t, page[0].Stream)
	require.Equal(t, lease.HeldDeliveries, page[0].Deliveries)
	first := page[0].ID
	page, err = r.page(h.ctx, "("+first)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "s1", page[0].Stream)
	page, err = r.page(h.ctx, "("+page[0].ID)
	require.NoError(t, err)
	require.NotEmpty(t, page)
	page, err = r.page(h.ctx, "("+page[0].ID)
	require.NoError(t, err)
	require.Len(t, page, 2, "it grows again")

	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	_, err = r.page(ctx, "-")
	require.ErrorIs(t, err, context.Canceled, "which says nothing about the page")

	// That it was not read is nothing against it: the script that moves it reads it itself.
	h.lateTwice(p)
	done, err := far.store.Recover(h.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, n, done.Entries)
	require.Zero(t, done.DeadLetters)
	require.True(t, done.Removed)
	require.Equal(t, n, h.Num("XLEN", h.keys.Input))
}

// says matches calls that have the argument text, and none of others.
func says(text string, others ...string) func([][]byte) bool {
	return func(args [][]byte) bool {
		return slices.ContainsFunc(args, func(a []byte) bool { return string(a) == text }) &&
			!slices.ContainsFunc(args, func(a []byte) bool { return slices.Contains(others, string(a)) })
	}
}

// One entry that took longer than Timeout to read ended each recovery at that point, with nothing to show for it, so that what
// came after it was pending for good.
func TestAnEntryThatIsNeverReadInTimeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const late = 4 * time.Second // beyond Timeout, and ClaimTime
	h := newHarness(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 1, 3*time.Second, time.Hour })
	h.open(dead)
	slow := h.announce("slow")
	h.announce("s1")
	h.announce("s2")
	h.own(dead, 3)
	h.kill(dead, time.Minute)
	far, p := h.throughProxy()
	p.Inject(proxy.Fault{Command: "claimdead", Match: says("-", "-1"), Action: proxy.Delay, Delay: late}) // calls that read its body
	moved := p.Inject(proxy.Fault{Command: "recover", Match: says(slow), Action: proxy.Delay, Delay: late})

	done, err := far.store.Recover(h.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, slow)
	require.Equal(t, []int{2, 1, 1}, []int{done.Entries, done.Refused, done.Blamed})
	require.False(t, done.Removed)
	require.Equal(t, 1, h.pending(dead))
	require.Equal(t, 1, far.store.setbacks.mu.known.Len())

	// The next recoveries come to the same; after that nobody reads it any more.
	why, _ := far.store.setbacks.givenUp(0, slow)
	require.Error(t, why)
	for range lease.MoveTries - 1 {
		far.store.setbacks.refused(0, slow, why)
	}
	moved()
	done, err = far.store.Recover(h.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 1}, []int{done.Entries, done.DeadLetters, done.GivenUp})
	require.True(t, done.Removed)
	require.Zero(t, far.store.setbacks.mu.known.Len())
	require.Equal(t, 3, h.Num("XLEN", h.keys.Input), "it is there still")
	i, err := NewInspector(h.Client, "shop", InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	for l, err := range i.Letters(h.ctx, Selection{}) {
		require.NoError(t, err)
		require.Equal(t, []any{slow, "refused", "", 0}, []any{l.Reference, l.Class(), l.Stream, l.Size})
	}
	sent, err := i.SendBack(h.ctx, Selection{})
	require.NoError(t, err)
	require.Equal(t, 1, sent)
	back, err := lease.Parse(h.layout, &h.read(ann, 3)[2])
	require.NoError(t, err)
	require.Equal(t, "slow", back.Stream)
}

// Clients that give up sooner, and close their connections, ended the wait for a late script, and the recovery with it.
func TestALateScriptIsWaitedOutWhateverTheClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 1, time.Second, time.Hour })
	h.open(dead)
	h.announce("s0")
	h.announce("s1")
	h.own(dead, 2)
	h.kill(dead, time.Minute)
	opt := h.server.ClientOption()
	opt.ConnWriteTimeout = time.Second
	opt.Dialer = net.Dialer{Timeout: time.Second, KeepAlive: time.Second}
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	far := *h
	far.Client = client
	far.stores()
	require.NoError(t, h.server.Pause())
	resumed := make(chan error)
	time.AfterFunc(4500*time.Millisecond, func() { resumed <- h.server.Resume() })
	r := recovery{Store: far.store, me: ann, dead: dead}
	page, err := r.page(h.ctx, "-")
	require.NoError(t, <-resumed)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.True(t, page[0].Unread)
}

// A move without an answer in time may have been made all the same; and where the server is late with everything, the entry is
// not to blame.
func TestWhatIsSaidOfAMoveWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(s *Settings) { s.Timeout, s.SessionTTL = 3*time.Second, time.Hour })
	h.open(dead)
	first, second := h.announce("first"), h.announce("second")
	h.own(dead, 2)
	h.kill(dead, time.Minute)
	far, p := h.throughProxy()
	r := recovery{Store: far.store, me: ann, dead: dead}
	_, err := r.readPage(h.ctx, "-", 2, lease.NameOnly)
	require.NoError(t, err)
	o, err := r.unanswered(h.ctx, lease.Disposition{Entry: first})
	require.NoError(t, err)
	require.Equal(t, lease.Refused, o.Verdict)
	require.True(t, lease.Blames(o.Err()), o.Reason)
	require.False(t, r.summaries[first].unread, "it was read before")
	require.NoError(t, r.requeueAll(h.ctx, []lease.Disposition{{Key: h.keys.Lease("first"), Entry: first, Token: lease.AnyToken, Dest: lease.ToInput}}))
	for _, id := range []string{first, second} {
		o, err = r.unanswered(h.ctx, lease.Disposition{Entry: id})
		require.NoError(t, err)
		require.Equal(t, id == first, o.Verdict == lease.Moved)
	}
	require.False(t, r.summaries[second].unread)
	p.Inject(proxy.Fault{Command: "claimdead", Action: proxy.Delay, Delay: 4 * time.Second})
	_, err = r.unanswered(h.ctx, lease.Disposition{Entry: second})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, far.store.setbacks.mu.known.Len())
}

// A delayed announcement that was stepped over unread was requeued at once: nobody had seen its time.
func TestWhatWasNotReadIsNotHandedOutBeforeItsTime(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 1, 3*time.Second, time.Hour })
	h.open(dead)
	at := strconv.FormatInt(h.Now()+time.Hour.Milliseconds(), 10)
	h.announce("s", lease.FieldNotBefore, at)
	h.read(dead, 1)
	h.kill(dead, time.Minute)
	far, p := h.throughProxy()
	p.Inject(proxy.Fault{Command: "claimdead", Match: says("-", "-1"), Action: proxy.Delay, Delay: 4 * time.Second})
	done, err := far.store.Recover(h.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, 1, done.Entries)
	require.Zero(t, h.Num("XLEN", h.keys.Input))
	require.Equal(t, 1, h.Num("ZCOUNT", h.keys.Later, at, at))
}
