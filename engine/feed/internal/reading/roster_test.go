package reading

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// named is a Source that only has a name: the roster calls nothing else.
type named string

func (n named) Stream() string          { return string(n) }
func (named) Next() (string, int, bool) { panic("not called") }
func (named) Read(Result) Then          { panic("not called") }

func newRoster(masters func(uint16) string) *roster {
	var mu sync.Mutex
	return &roster{
		streams: make(map[string]*stream),
		lanes:   make(map[string]*lane),
		slots:   make([]*lane, 4),
		master:  masters,
		newLane: func(addr string) *lane {
			return &lane{addr: addr, work: sync.NewCond(&mu), glare: sync.NewCond(&mu)}
		},
		count:  func(Counter, int) {},
		random: func() float64 { return 0 },
		woke:   func(*lane) {},
	}
}

// world is a server in one process with the roster: what is written, what is armed, what is on its way.
type world struct {
	t       *rapid.T
	r       *roster
	now     int64
	masters [4]string // of each slot
	names   int
	streams map[string]*truth
	way     []event    // from the server, in order
	flight  []*inquiry // sent, and not run by the server
	answers []*inquiry // received, and not taken in
}

// truth is what is so of a stream.
type truth struct {
	h       *stream
	written int
	armed   bool   // at the master that has it, for the connection that there is
	at      string // where it was armed
	read    int
	reading bool
}

// event is a ring (stream) or an answer.
type event struct {
	ring string
	*inquiry
}

// inquiry is one read.
type inquiry struct {
	name  string
	epoch uint64
	found int
	look  bool
}

func (w *world) truth() *truth {
	names := make([]string, 0, len(w.streams))
	for name := range w.streams {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return w.streams[rapid.SampledFrom(names).Draw(w.t, "stream")]
}

func (w *world) add() {
	if len(w.streams) == 12 {
		return
	}
	w.names++
	name := fmt.Sprint("s", w.names)
	t := &truth{h: &stream{source: named(name), slot: uint16(w.names % 4)}}
	w.streams[name] = t
	w.r.add(t.h, name)
}

func (w *world) remove(t *truth) {
	t.h.removed.Store(true)
	w.r.remove(t.h)
	delete(w.streams, string(t.h.source.(named)))
}

// write adds a message. The first after a read rings, if it is to the server that was read from.
func (w *world) write(t *truth) {
	t.written++
	if t.armed && t.at == w.masters[t.h.slot] {
		w.way = append(w.way, event{ring: string(t.h.source.(named))})
	}
	t.armed = false
}

// evict rings for nothing, as a tracking table that is full does.
func (w *world) evict(t *truth) {
	if t.armed {
		w.way = append(w.way, event{ring: string(t.h.source.(named))})
	}
	t.armed = false
}

// take has a lane send reads.
func (w *world) take(addr string, most int) {
	l := w.r.lanes[addr]
	if l == nil || !l.ready(w.now) {
		return
	}
	for _, turn := range w.r.take(l, most, nil) {
		t := w.streams[string(turn.h.source.(named))]
		require.NotNil(w.t, t, "a stream that was removed is not read")
		require.False(w.t, t.reading, "one read of a stream at a time")
		switch rapid.IntRange(0, 9).Draw(w.t, "ask") {
		case 0:
			w.r.postpone(turn.h, w.now)
			continue
		case 1:
			w.r.untake(turn.h, turn.h.lane)
			continue
		}
		t.reading = true
		w.flight = append(w.flight, &inquiry{name: string(turn.h.source.(named)), epoch: w.r.epoch})
	}
}

// run has the server run the read that was sent first.
func (w *world) run() {
	if len(w.flight) == 0 {
		return
	}
	q := w.flight[0]
	w.flight = w.flight[1:]
	if t := w.streams[q.name]; t != nil {
		q.found = t.written
		t.armed, t.at = true, w.masters[t.h.slot]
	}
	w.way = append(w.way, event{inquiry: q})
}

// receive takes in what comes from the server next.
func (w *world) receive() {
	if len(w.way) == 0 {
		return
	}
	e := w.way[0]
	w.way = w.way[1:]
	if e.inquiry != nil {
		w.answers = append(w.answers, e.inquiry)
		return
	}
	w.r.ring(e.ring, w.now)
}

// lose closes the connection: what was on its way is lost.
func (w *world) lose() {
	for _, t := range w.streams {
		t.armed = false
	}
	failed := w.flight
	for _, e := range w.way {
		if e.inquiry != nil {
			failed = append(failed, e.inquiry)
		}
	}
	w.flight, w.way = nil, nil
	w.r.lost(w.now)
	for _, q := range failed {
		w.fail(q, true)
	}
}

func (w *world) fail(q *inquiry, unreached bool) {
	if t := w.streams[q.name]; t != nil && t.reading {
		t.reading = false
		w.r.failed(t.h, unreached, w.now)
	}
}

// takeIn takes in one of the answers, or the look after it.
func (w *world) takeIn(i int, then Then, bad bool) {
	q := w.answers[i]
	w.answers = slices.Delete(w.answers, i, i+1)
	t := w.streams[q.name]
	if t == nil {
		return
	}
	if bad {
		w.fail(q, false)
		return
	}
	if !q.look {
		if w.r.arrived(t.h, q.found-t.read, false, q.epoch) {
			q.look = true
			w.answers = append(w.answers, q)
			return
		}
	} else {
		t.h.clear(look)
	}
	t.read, t.reading = q.found, false
	w.r.settle(t.h, then, q.epoch, w.now)
}

var thens = []Then{Rest, Rest, Rest, Again, Hold, Then(30 * time.Millisecond)}

// check looks at everything that must be so at all times.
func (w *world) check() {
	members := make(map[*lane]int)
	for i, h := range w.r.all {
		require.Equal(w.t, i, int(h.place))
		require.Same(w.t, h, w.r.streams[string(h.source.(named))])
		require.Equal(w.t, h.state == waiting, h.timer >= 0)
		members[h.lane]++
		t := w.streams[string(h.source.(named))]
		require.Equal(w.t, h.state == reading, t.reading)
		if h.state != resting {
			continue
		}
		require.False(w.t, h.is(rung|stale|asked|woken|atOnce|swept), "%b", h.flags)
		if !t.armed && !w.announced(h) {
			require.True(w.t, w.r.sweep.fast && int(h.place) >= w.r.sweep.cursor || w.r.sweep.asked, "a stream rests that nothing will ring: %+v", t)
		}
	}
	require.Len(w.t, w.streams, len(w.r.all))
	for i, timer := range w.r.waiting {
		require.Equal(w.t, i, int(timer.h.timer))
	}
	for _, l := range w.r.lanes {
		require.Equal(w.t, members[l], l.members)
	}
}

func (w *world) announced(h *stream) bool {
	return slices.ContainsFunc(w.way, func(e event) bool { return e.inquiry == nil && e.ring == string(h.source.(named)) })
}

// settle lets everything that is under way come to its end: then everything was read.
func (w *world) settle() {
	w.r.regroup(w.now)
	for _, t := range w.streams {
		w.r.wake(t.h, false, w.now)
	}
	for range 2000 {
		w.now += int64(5 * time.Millisecond)
		w.r.tick(w.now)
		for _, l := range w.r.lanes {
			for l.ready(w.now) && l.hot.n+l.cold.n > 0 {
				turns := w.r.take(l, 3, nil)
				for _, turn := range turns {
					w.streams[string(turn.h.source.(named))].reading = true
					w.flight = append(w.flight, &inquiry{name: string(turn.h.source.(named)), epoch: w.r.epoch})
				}
				if len(turns) == 0 {
					break
				}
			}
		}
		for len(w.flight) > 0 {
			w.run()
		}
		for len(w.way) > 0 {
			w.receive()
		}
		for len(w.answers) > 0 {
			w.takeIn(0, Rest, false)
		}
		if w.quiet() {
			break
		}
	}
	for name, t := range w.streams {
		require.Equal(w.t, t.written, t.read, "%s: %+v", name, t)
		require.Equal(w.t, resting, t.h.state, "%s", name)
		require.True(w.t, t.armed && t.at == w.masters[t.h.slot], "%s: %+v", name, t)
	}
}

func (w *world) quiet() bool {
	for _, t := range w.streams {
		if t.h.state != resting {
			return false
		}
	}
	return !w.r.sweep.fast && !w.r.sweep.asked
}

// However writes, reads, rings, lost connections, moved slots and what sources say meet: no stream rests that nothing would ring, one read
// of a stream runs at a time, and in the end everything was read.
func TestRosterAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, streams: make(map[string]*truth), masters: [4]string{"a", "a", "b", "b"}}
		w.r = newRoster(func(slot uint16) string { return w.masters[slot] })
		w.r.sweep.period = int64(rapid.SampledFrom([]time.Duration{0, 200 * time.Millisecond, 2 * time.Second}).Draw(t, "sweep"))
		var moved [4]bool // the roster has not been told. A slot that comes back before it is, is for the sweep
		some := func(f func(t *truth)) func(*rapid.T) {
			return func(rt *rapid.T) {
				w.t = rt
				if t := w.truth(); t != nil {
					f(t)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) { w.t = rt; w.add() },
			"remove": some(func(t *truth) {
				if rapid.IntRange(0, 3).Draw(w.t, "often") == 0 {
					w.remove(t)
				}
			}),
			"write":  some(w.write),
			"write2": some(w.write),
			"evict":  some(w.evict),
			"wake":   some(func(t *truth) { w.r.wake(t.h, rapid.Bool().Draw(w.t, "now"), w.now) }),
			"take": func(rt *rapid.T) {
				w.t = rt
				w.take(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "lane"), rapid.IntRange(1, 4).Draw(rt, "most"))
			},
			"run":     func(rt *rapid.T) { w.run() },
			"receive": func(rt *rapid.T) { w.receive() },
			"lose": func(rt *rapid.T) {
				if rapid.IntRange(0, 5).Draw(rt, "often") == 0 {
					w.lose()
				}
			},
			"answer": func(rt *rapid.T) {
				w.t = rt
				if len(w.answers) > 0 {
					w.takeIn(rapid.IntRange(0, len(w.answers)-1).Draw(rt, "which"), rapid.SampledFrom(thens).Draw(rt, "then"),
						rapid.IntRange(0, 9).Draw(rt, "fails") == 0)
				}
			},
			"time": func(rt *rapid.T) {
				w.now += int64(rapid.IntRange(1, 300).Draw(rt, "ms")) * int64(time.Millisecond)
				w.r.tick(w.now)
			},
			"move": func(rt *rapid.T) {
				if slot := rapid.IntRange(0, 3).Draw(rt, "slot"); !moved[slot] {
					w.masters[slot], moved[slot] = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "to"), true
				}
			},
			"topology": func(rt *rapid.T) { w.r.regroup(w.now); moved = [4]bool{} },
			"": func(rt *rapid.T) {
				w.t = rt
				if moved == [4]bool{} {
					w.check()
				}
			},
		})
		w.t = t
		w.settle()
	})
}

// TestRemoveAfterTheSweepHasPassedAll: whatever the sweep has passed, each stream knows its place after any other was removed.
func TestRemoveAfterTheSweepHasPassedAll(t *testing.T) {
	const n = 4
	for cursor := range n + 1 {
		for first := range n {
			r := newRoster(func(uint16) string { return "" })
			for i := range n {
				r.add(&stream{source: named(fmt.Sprint("s", i))}, fmt.Sprint("s", i))
			}
			r.sweep.cursor = cursor
			passed := slices.Clone(r.all[:cursor])
			for gone := r.all[first]; ; gone = r.all[0] {
				r.remove(gone)
				passed = slices.DeleteFunc(passed, func(h *stream) bool { return h == gone })
				require.ElementsMatch(t, passed, r.all[:r.sweep.cursor])
				for i, h := range r.all {
					require.Equal(t, i, int(h.place), "%d passed, number %d removed first", cursor, first)
				}
				if len(r.all) == 0 {
					break
				}
			}
		}
	}
}
