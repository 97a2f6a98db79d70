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

// lateTwice delays the next page, and the first entry of it alone, but not the calls that look at no body.
func (w *ward) lateTwice(p *proxy.Proxy) {
	for nth := 1; nth <= 2; nth++ {
		p.Inject(proxy.Fault{
			Command: "claimdead", Nth: nth, Match: says(w.layout.Group(), "-1"), Action: proxy.Delay, Delay: 3 * time.Second,
		})
	}
}

// A page that is not answered in time is made smaller, down to one entry; and that one, if it is not answered either, is
// stepped over: it must not keep the others from recovery.
func TestAPageThatIsNotAnsweredInTimeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newWard(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 50, 2*time.Second, time.Hour })
	w.open(dead)
	const n = 5
	for i := range n {
		w.announce(fmt.Sprint("s", i))
	}
	w.own(dead, n)
	w.kill(dead, time.Minute)
	far, p := w.throughProxy()
	w.lateTwice(p)
	r := recovery{Store: far.store, me: ann, dead: dead}
	page, err := r.page(w.ctx, "-")
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.True(t, page[0].Unread)
	require.Empty(t, page[0].Stream)
	require.Equal(t, lease.HeldDeliveries, page[0].Deliveries)
	first := page[0].ID
	page, err = r.page(w.ctx, "("+first)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, "s1", page[0].Stream)
	page, err = r.page(w.ctx, "("+page[0].ID)
	require.NoError(t, err)
	require.NotEmpty(t, page)
	page, err = r.page(w.ctx, "("+page[0].ID)
	require.NoError(t, err)
	require.Len(t, page, 2, "it grows again")

	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err = r.page(ctx, "-")
	require.ErrorIs(t, err, context.Canceled, "which says nothing about the page")

	// What was not read says nothing against it: the script that moves it looks at it itself.
	w.lateTwice(p)
	done, err := far.store.Recover(w.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, n, done.Entries)
	require.Zero(t, done.DeadLetters)
	require.True(t, done.Removed)
	require.Equal(t, n, w.Num("XLEN", w.keys.Input))
}

// says is whether a call has an argument, and none of others.
func says(text string, others ...string) func([][]byte) bool {
	return func(args [][]byte) bool {
		return slices.ContainsFunc(args, func(a []byte) bool { return string(a) == text }) &&
			!slices.ContainsFunc(args, func(a []byte) bool { return slices.Contains(others, string(a)) })
	}
}

// One entry that took longer than Timeout to read ended each recovery where it stood, without a trace of it, so that what came
// behind it was pending for good.
func TestAnEntryThatIsNeverReadInTimeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const late = 4 * time.Second // beyond Timeout, and what claims a recovery
	w := newWard(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 1, 3*time.Second, time.Hour })
	w.open(dead)
	slow := w.announce("slow")
	w.announce("s1")
	w.announce("s2")
	w.own(dead, 3)
	w.kill(dead, time.Minute)
	far, p := w.throughProxy()
	p.Inject(proxy.Fault{Command: "claimdead", Match: says("-", "-1"), Action: proxy.Delay, Delay: late}) // its body is looked at
	moved := p.Inject(proxy.Fault{Command: "recover", Match: says(slow), Action: proxy.Delay, Delay: late})

	done, err := far.store.Recover(w.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrRefused)
	require.ErrorContains(t, err, slow)
	require.Equal(t, []int{2, 1, 1}, []int{done.Entries, done.Refused, done.Blamed})
	require.False(t, done.Removed)
	require.Equal(t, 1, w.pending(dead))
	require.Equal(t, 1, far.store.setbacks.known.Len())

	// As the next ones come to, after which nobody looks at it any more.
	why, _ := far.store.setbacks.givenUp(0, slow)
	require.Error(t, why)
	for range lease.MoveTries - 1 {
		far.store.setbacks.refused(0, slow, why)
	}
	moved()
	done, err = far.store.Recover(w.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, []int{1, 1, 1}, []int{done.Entries, done.DeadLetters, done.GivenUp})
	require.True(t, done.Removed)
	require.Zero(t, far.store.setbacks.known.Len())
	require.Equal(t, 3, w.Num("XLEN", w.keys.Input), "it is there still")
	i, err := NewInspector(w.Client, "shop", InspectorConfig{Partitions: 1})
	require.NoError(t, err)
	for l, err := range i.Letters(w.ctx, Selection{}) {
		require.NoError(t, err)
		require.Equal(t, []any{slow, "refused", "", 0}, []any{l.Reference, l.Class(), l.Stream, l.Size})
	}
	sent, err := i.SendBack(w.ctx, Selection{})
	require.NoError(t, err)
	require.Equal(t, 1, sent)
	back, err := lease.Parse(w.layout, &w.read(ann, 3)[2])
	require.NoError(t, err)
	require.Equal(t, "slow", back.Stream)
}

// Clients that give up sooner, and close their connections, ended the wait for a script that is late, and the recovery with it.
func TestALateScriptIsWaitedOutWhateverTheClient(t *testing.T) {
	t.Parallel()
	w := newWard(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 1, time.Second, time.Hour })
	w.open(dead)
	w.announce("s0")
	w.announce("s1")
	w.own(dead, 2)
	w.kill(dead, time.Minute)
	opt := w.server.ClientOption()
	opt.ConnWriteTimeout = time.Second
	opt.Dialer = net.Dialer{Timeout: time.Second, KeepAlive: time.Second}
	client, err := rueidis.NewClient(opt)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	far := *w
	far.Client = client
	far.stores()
	require.NoError(t, w.server.Pause())
	resumed := make(chan error)
	time.AfterFunc(4500*time.Millisecond, func() { resumed <- w.server.Resume() })
	r := recovery{Store: far.store, me: ann, dead: dead}
	page, err := r.page(w.ctx, "-")
	require.NoError(t, <-resumed)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.True(t, page[0].Unread)
}

// A move that had no answer in time may have been made all the same; and where the server is late with everything, nothing is
// said of the entry.
func TestWhatIsSaidOfAMoveWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWard(t, func(s *Settings) { s.Timeout, s.SessionTTL = 3*time.Second, time.Hour })
	w.open(dead)
	first, second := w.announce("first"), w.announce("second")
	w.own(dead, 2)
	w.kill(dead, time.Minute)
	far, p := w.throughProxy()
	r := recovery{Store: far.store, me: ann, dead: dead}
	_, err := r.readPage(w.ctx, "-", 2, lease.NameOnly)
	require.NoError(t, err)
	o, err := r.unanswered(w.ctx, lease.Disposition{Entry: first})
	require.NoError(t, err)
	require.Equal(t, lease.Refused, o.Verdict)
	require.True(t, lease.Blames(o.Err()), o.Reason)
	require.False(t, r.summaries[first].unread, "it was read before")
	require.NoError(t, r.requeueAll(w.ctx, []lease.Disposition{{Key: w.keys.Lease("first"), Entry: first, Token: lease.AnyToken, Dest: lease.ToInput}}))
	for _, id := range []string{first, second} {
		o, err = r.unanswered(w.ctx, lease.Disposition{Entry: id})
		require.NoError(t, err)
		require.Equal(t, id == first, o.Verdict == lease.Moved)
	}
	require.False(t, r.summaries[second].unread)
	p.Inject(proxy.Fault{Command: "claimdead", Action: proxy.Delay, Delay: 4 * time.Second})
	_, err = r.unanswered(w.ctx, lease.Disposition{Entry: second})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, far.store.setbacks.known.Len())
}

// A delayed announcement that was stepped over unread was handed out at once: nobody had seen its time.
func TestWhatWasNotReadIsNotHandedOutBeforeItsTime(t *testing.T) {
	t.Parallel()
	w := newWard(t, func(s *Settings) { s.Page, s.Timeout, s.SessionTTL = 1, 3*time.Second, time.Hour })
	w.open(dead)
	at := strconv.FormatInt(w.Now()+time.Hour.Milliseconds(), 10)
	w.announce("s", lease.FieldNotBefore, at)
	w.read(dead, 1)
	w.kill(dead, time.Minute)
	far, p := w.throughProxy()
	p.Inject(proxy.Fault{Command: "claimdead", Match: says("-", "-1"), Action: proxy.Delay, Delay: 4 * time.Second})
	done, err := far.store.Recover(w.ctx, 0, ann, dead)
	require.NoError(t, err)
	require.Equal(t, 1, done.Entries)
	require.Zero(t, w.Num("XLEN", w.keys.Input))
	require.Equal(t, 1, w.Num("ZCOUNT", w.keys.Later, at, at))
}
