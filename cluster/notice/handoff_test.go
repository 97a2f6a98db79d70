package notice

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/notices"
)

// handoffs collects what a watcher reports of nodes that move.
type handoffs struct {
	sync.Mutex
	all []Handoff
	at  []time.Time
}

func (h *handoffs) add(x Handoff) {
	h.Lock()
	defer h.Unlock()
	h.all, h.at = append(h.all, x), append(h.at, time.Now())
}

func (h *handoffs) take() []Handoff {
	synctest.Wait()
	h.Lock()
	defer h.Unlock()
	all := h.all
	h.all, h.at = nil, nil
	return all
}

// watchMoves is watch with handoffs.
func watchMoves(t *testing.T, nodes int, f func(p *party, h *handoffs)) {
	t.Helper()
	watch(t, nodes, Config{}, rueidis.ClientOption{}, func(p *party) {
		var h handoffs
		opt := rueidis.ClientOption{DialCtxFn: p.dial}
		w := NewWatcher(opt, Config{}.WithDefaults(), p.list, Hooks{Moved: h.add})
		ctx, cancel := context.WithCancel(p.t.Context())
		var group sync.WaitGroup
		group.Go(func() { w.Run(ctx) })
		defer group.Wait()
		defer cancel()
		synctest.Wait()
		f(p, &h)
	})
}

// Fifteen nodes announce that they move, four seconds apart: each is reported once, with its new endpoint, long before the old one
// goes away.
func TestEachNodeThatMovesIsReported(t *testing.T) {
	const nodes = 15
	watchMoves(t, nodes, func(p *party, h *handoffs) {
		for i := range nodes {
			old, there := p.names[i], fmt.Sprintf("new-%d:1", i)
			p.note(func() {
				p.nodes[there] = notices.New(notices.Options{After: wire(fmt.Sprintf(">4 MOVING :%d :15 %s", 100+i, there), false)})
			})
			for range 2 {
				p.nodes[old].Push(wire(fmt.Sprintf(">4 MOVING :%d :15 %s", 100+i, there), i%2 == 0))
			}
			announced := time.Now()
			p.pass(4 * time.Second)
			require.Equal(t, []Handoff{{Node: old, Endpoint: there, Seq: int64(100 + i), End: announced.Add(15 * time.Second)}}, h.take())
		}
		p.pass(time.Minute)
		require.Empty(t, h.take())
	})
}

// An endpoint that does not answer is tried three times, half a second apart at most; then that is reported, once.
func TestAnEndpointWithoutAnAnswerIsReported(t *testing.T) {
	watchMoves(t, 1, func(p *party, h *handoffs) {
		p.nodes["a:1"].Push(wire(">4 MOVING :7 :15 gone:1", false))
		p.pass(3 * time.Second)
		all := h.take()
		require.Len(t, all, 1)
		require.ErrorContains(t, all[0].Err, "connection refused")
		require.Equal(t, "gone:1", all[0].Endpoint)
		require.Equal(t, 2, p.nodes["a:1"].Listening(), "both watchers are back")
		p.pass(time.Minute)
		require.Empty(t, h.take())
	})
}

// A server that refuses to announce anything has answered all the same.
func TestAnEndpointThatRefusesNoticesAnswers(t *testing.T) {
	watchMoves(t, 1, func(p *party, h *handoffs) {
		p.note(func() { p.nodes["new:1"] = notices.New(notices.Options{Refuse: "-ERR unknown subcommand"}) })
		p.nodes["a:1"].Push(wire(">4 MOVING :7 :15 new:1", false))
		p.pass(3 * time.Second)
		all := h.take()
		require.Len(t, all, 1)
		require.NoError(t, all[0].Err)
	})
}

// Without an endpoint, each notice is reported after half of its time, even if the connection on which it came has ended; those
// that come thick and fast, once a second.
func TestANoticeWithoutAnEndpointIsReportedWhenItIsTime(t *testing.T) {
	watchMoves(t, 1, func(p *party, h *handoffs) {
		a := p.nodes["a:1"]
		began := time.Now()
		a.Push(wire(">4 MOVING :7 :20 _", false))
		p.pass(5 * time.Second)
		a.Push(wire(">4 MOVING :8 :20 ?", false))
		synctest.Wait()
		a.Drop()
		p.pass(time.Minute)
		h.Lock()
		require.Equal(t, []time.Time{began.Add(10 * time.Second), began.Add(15 * time.Second)}, h.at)
		h.Unlock()
		require.Len(t, h.take(), 2)

		for i := range 500 {
			a.Push(wire(fmt.Sprintf(">4 MOVING :%d :0 _", 1000+i), false))
			p.pass(10 * time.Millisecond)
		}
		p.pass(time.Minute)
		n := len(h.take())
		require.Positive(t, n)
		require.LessOrEqual(t, n, 7, "in five seconds")
	})
}

// A node's connection returns from an endpoint that was not in its place, and hears what the node announces next.
func TestANodeIsReturnedTo(t *testing.T) {
	watch(t, 2, Config{}, rueidis.ClientOption{}, func(p *party) {
		a, b := p.nodes["a:1"], p.nodes["b:1"]
		a.Push(wire(">4 MOVING :7 :15 b:1", false))
		p.pass(3 * time.Second)
		require.Zero(t, a.Listening())
		require.Equal(t, 2, b.Listening())
		p.Return("a:1")
		p.Return("nobody:1")
		p.pass(3 * time.Second)
		require.Equal(t, 1, a.Listening())
		require.Equal(t, 1, b.Listening())
	})
}

// It returns as well from an endpoint that refused to announce anything, at which it rests, though the servers look the same.
func TestANodeIsReturnedToFromAnEndpointThatRefusedNotices(t *testing.T) {
	watch(t, 1, Config{}, rueidis.ClientOption{}, func(p *party) {
		p.note(func() { p.nodes["new:1"] = notices.New(notices.Options{Refuse: "-ERR unknown subcommand"}) })
		a := p.nodes["a:1"]
		a.Push(wire(">4 MOVING :7 :15 new:1", false))
		p.pass(3 * time.Second)
		require.Zero(t, a.Listening())
		require.Equal(t, Refused, p.Nodes()[0].State)
		p.Return("a:1")
		p.pass(3 * time.Second)
		require.Equal(t, 1, a.Listening())
		require.Equal(t, Listening, p.Nodes()[0].State)
	})
}
