package lease

import (
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/proxy"
)

// faulty is w through a proxy that strikes calls by script; its client connects again by itself.
func (w *harness) faulty() (*harness, *proxy.Proxy) {
	w.t.Helper()
	p := proxy.New(w.t, w.server.Addr())
	for _, s := range Scripts() {
		p.RegisterScript(s.Name(), s.Body())
	}
	client, err := rueidis.NewClient(p.ClientOption())
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return w.as(client), p
}

// Trace: the call ran and its answer got lost. Nobody can know; asked again, the server says what came of it.
func TestLostAnswersAreAskedAgain(t *testing.T) {
	w := newHarness(t)
	f, p := w.faulty()
	// once makes a call whose first answer is lost, and then until it is answered.
	once := func(script string, call func() error) {
		t.Helper()
		struck := p.Struck(script)
		remove := p.Inject(proxy.Fault{Command: script, Nth: 1, Action: proxy.CutAfter})
		defer remove()
		err := call()
		require.Error(t, err, script)
		_, refused := Refusal(err)
		require.False(t, refused, "%s: %v", script, err)
		require.Equal(t, struck+1, p.Struck(script))
		require.Eventually(t, func() bool { return call() == nil }, 20*time.Second, time.Millisecond, script)
	}
	// Scripts are known before faults are counted: a NOSCRIPT is an answer too.
	warm := func() {
		f.open("warm.1")
		f.beat("warm.1")
		l := f.own("warm.1", "warm")
		f.renew("warm.1", l)
		require.Equal(t, "m", verdicts(f.requeue("warm.1", back(l))))
		l = f.take("warm.1", f.read("warm.1", 1)[0])
		require.Equal(t, "d", verdicts(f.done("warm.1", back(l))))
		_, err := f.store.Close(f.ctx, 0, "warm.1")
		require.NoError(t, err)
	}
	warm()

	var beat Beat
	once("open", func() (err error) { beat, err = f.store.Open(f.ctx, 0, alice, 0); return err })
	require.Equal(t, SessionLive, beat.Status, "the first attempt made it")
	once("beat", func() (err error) { beat, err = f.store.Beat(f.ctx, 0, alice, false); return err })

	w.announce("a")
	w.announce("b")
	entries := w.read(alice, 2)
	var takes []Take
	once("acquire", func() (err error) { _, takes, err = f.store.Acquire(f.ctx, 0, alice, entries); return err })
	require.Equal(t, []Verdict{Acquired, Acquired}, []Verdict{takes[0].Verdict, takes[1].Verdict}, "they name me and these entries")
	a, b := w.lease(alice, entries[0], takes[0].Token), w.lease(alice, entries[1], takes[1].Token)

	var out []Renewal
	once("renew", func() error { out = f.store.Renew(f.ctx, 0, alice, 0, [][]*Lease{{a, b}}, nil, nil); return out[0].Err })
	require.Equal(t, "kk", out[0].Verdicts)

	var outcomes []Outcome
	once("done", func() (err error) { outcomes, err = f.store.Done(f.ctx, 0, alice, []Disposition{back(a)}); return err })
	require.Equal(t, "n", verdicts(outcomes))
	once("requeue", func() (err error) {
		outcomes, err = f.store.Requeue(f.ctx, 0, alice, []Disposition{back(b)})
		return err
	})
	require.Equal(t, "n", verdicts(outcomes))
	require.Len(t, w.Stream(w.keys.Input), 1, "moved once")

	var left int
	once("close", func() (err error) { left, err = f.store.Close(f.ctx, 0, alice); return err })
	require.Zero(t, left)
}

// Trace: the answer to a read is lost; what it delivered is pending for a consumer that has never seen it, and is found in
// the own pending list.
func TestLostReadIsFoundPending(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	f, p := w.faulty()
	id := w.announce("s")
	p.Inject(proxy.Fault{Command: "XREADGROUP", Nth: 1, Action: proxy.CutAfter})
	_, err := f.store.Read(f.ctx, 0, alice, 10, time.Millisecond)
	require.Error(t, err)
	require.Empty(t, w.read(alice, 10))
	page, err := w.store.Pending(w.ctx, 0, alice, "", 10, 0)
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, id, page[0].ID)
	e, err := ParseEntry(w.layout, 0, page[0].ID, page[0].Body)
	require.NoError(t, err)
	require.NotZero(t, w.take(alice, &e).Token())
}
