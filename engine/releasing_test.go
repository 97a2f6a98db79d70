package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/lease"
)

// releasings are the two reasons for which streams are handed back, and how a test brings them about. What has to be handed back
// is when they return.
var releasings = []struct {
	why error
	by  func(t *testing.T, e *testEngine)
}{
	{api.ErrDraining, func(t *testing.T, e *testEngine) {
		shutdown, run := e.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
	}},
	{api.ErrRebalanced, func(_ *testing.T, e *testEngine) {
		e.SetMaxStreams(NoStreams)
		advance(time.Second)
	}},
}

// retried is the number of entries with a counted retry, whether undelivered, delayed or dead.
func (s *fakeServer) retried() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		all := append([]*fakeEntry(nil), p.dead...)
		for _, x := range p.input {
			if x.seq > p.delivered {
				all = append(all, x)
			}
		}
		for _, x := range p.later {
			all = append(all, &fakeEntry{body: x.body})
		}
		for _, x := range all {
			for _, f := range x.body {
				if f.Field == lease.FieldRetries {
					n++
				}
			}
		}
	}
	return n
}

var errItBroke = errors.New("it broke")

// owner owns streams in one of the ways in which notifications reach the user, and notes why it was to hand them back. It does so
// when answer is closed.
type owner struct {
	*testEngine
	answer chan struct{}

	mu  sync.Mutex
	why []error
}

func (o *owner) told(why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.why = append(o.why, why)
}

// reasons are those for which it was to hand streams back.
func (o *owner) reasons() []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]error(nil), o.why...)
}

// own starts an engine with an owner.
func (h *harness) own(way string, opts ...Option) *owner {
	o := &owner{answer: make(chan struct{})}
	handle := func(_ context.Context, n api.Notification) error {
		if n.Kind == api.Releasing {
			o.told(n.Err)
			<-o.answer
		}
		return nil
	}
	switch way {
	case "run":
		o.testEngine = h.start(handle, opts...)
	case "each":
		o.testEngine = h.runEach(func(ctx context.Context, l api.Lease) error {
			<-ctx.Done()
			o.told(context.Cause(ctx))
			<-o.answer
			return ctx.Err()
		}, opts...)
	case "start":
		o.testEngine = h.newEngine(opts...)
		o.startWith(func(ctx context.Context) error {
			out, err := o.Start(ctx)
			if err != nil {
				return err
			}
			for n := range out {
				if n.Kind == api.Releasing {
					o.told(n.Err)
					go func() {
						<-o.answer
						_ = n.Lease.Release(context.Background())
					}()
				}
			}
			<-o.life.ended
			return o.life.err
		})
	case "layer":
		r := newRecorder()
		r.onReleased = func(l api.Lease, why error) {
			o.told(why)
			go func() {
				<-o.answer
				r.engine.Ended(l, nil)
			}()
		}
		o.testEngine = h.runLayer(r, opts...)
	}
	advance(time.Second)
	return o
}

var ways = []string{"run", "each", "start", "layer"}

// inEveryWay runs f with an owner of one stream, s.
func inEveryWay(t *testing.T, f func(t *testing.T, way string, h *harness, o *owner), opts ...Option) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				f(t, way, h, h.own(way, opts...))
			})
		})
	}
}

// requireCause checks why the context of a lease has ended. With Start, the owner ends it.
func requireCause(t *testing.T, way string, l api.Lease, why error) {
	t.Helper()
	cause := context.Cause(l.Context())
	if way == "start" {
		require.ErrorIs(t, cause, api.ErrNotHeld)
		return
	}
	require.ErrorIs(t, cause, api.ErrReleasing)
	for _, other := range []error{api.ErrDraining, api.ErrRebalanced} {
		require.Equal(t, other == why, errors.Is(cause, other), "%v is %v", cause, other)
	}
}

// An owner hears whether its process shuts down or only wants fewer streams, and so does whatever waits for the end of the lease.
func TestReleasingSaysWhy(t *testing.T) {
	for _, r := range releasings {
		t.Run(r.why.Error(), func(t *testing.T) {
			inEveryWay(t, func(t *testing.T, way string, h *harness, o *owner) {
				l := o.held("s")
				close(o.answer)
				r.by(t, o.testEngine)
				require.Equal(t, []error{r.why}, o.reasons())
				require.ErrorIs(t, r.why, api.ErrReleasing)
				requireCause(t, way, l, r.why)
				require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
			})
		})
	}
}

// A handler of Releasing that panics hands the stream back for the reason that it got.
func TestReleasingSaysWhyAlsoAfterAPanic(t *testing.T) {
	for _, r := range releasings {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			e := h.start(func(_ context.Context, n api.Notification) error {
				if n.Kind == api.Releasing {
					panic("it fell over")
				}
				return nil
			})
			advance(time.Second)
			l := e.held("s")
			r.by(t, e)
			requireCause(t, "run", l, r.why)
			require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
			require.Zero(t, h.server.retried())
		})
	}
}

// A layer that ends a stream of its own accord hands it back for no other reason.
func TestLayerEndsUnasked(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		h.server.announce("s")
		r := newRecorder()
		e := h.runLayer(r)
		advance(time.Second)
		l := r.lease("s")
		e.SetMaxStreams(1) // so that it holds what it has, and no more
		r.finish("s", nil)
		require.Equal(t, api.ErrReleasing, context.Cause(l.Context()))
	})
}

// A function whose stream is to be handed back before it has been called gets the reason, too.
//
// Trace: Releasing was noted in the lease before the delivery knew of it, without the reason.
func TestRunEachFunctionThatStartsAfterReleasingHearsWhy(t *testing.T) {
	for _, r := range releasings {
		bubble(t, 1, func(t *testing.T, h *harness) {
			h.server.announce("s")
			gate := make(chan struct{})
			e := h.newEngine(WithWorkers(1))
			why := make(chan error, 1)
			e.startWith(func(ctx context.Context) error {
				if err := e.life.begin(); err != nil {
					return err
				}
				return e.run(ctx, func(handling context.Context) delivery {
					return &gated{gate: gate, each: newEach(handling, func(ctx context.Context, _ api.Lease) error {
						<-ctx.Done()
						why <- context.Cause(ctx)
						return ctx.Err()
					})}
				})
			})
			advance(time.Second)
			l := e.held("s")
			time.AfterFunc(500*time.Millisecond, func() { close(gate) })
			r.by(t, e)
			require.Equal(t, r.why, <-why)
			requireCause(t, "each", l, r.why)
			require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
		})
	}
}

// Outside of a drain nothing times out: an owner that is to hand its stream back, and does not, keeps it for as long as it likes, and
// the lease is valid and renewed.
func TestRebalancedStreamIsKeptUntilItsOwnerAnswers(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string, h *harness, o *owner) {
		l := o.held("s")
		o.SetMaxStreams(NoStreams)
		for range 60 {
			o.fake.takeCalls()
			advance(30 * time.Second)
			require.Positive(t, countCalls(o.fake.takeCalls(), "renew"), "it is renewed")
			require.Positive(t, l.Remaining())
			require.NoError(t, l.Context().Err())
			o.SetMaxStreams(NoStreams)
		}
		require.Equal(t, []error{api.ErrRebalanced}, o.reasons(), "once, however often it is asked for")
		require.Equal(t, []int{0, 1, 0, 0}, h.server.counts())
		close(o.answer)
		advance(time.Second)
		requireCause(t, way, l, api.ErrRebalanced)
		require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
		require.Zero(t, h.server.retried())
	}, WithDrainTimeout(5*time.Second))
}

// With Start, whatever the owner ends the lease by is what counts.
func TestRebalancedStreamOfAChannelEndsAsItsOwnerEndsIt(t *testing.T) {
	for name, c := range map[string]struct {
		end     func(l api.Lease) error
		counts  []int
		retried int
	}{
		"Release": {func(l api.Lease) error { return l.Release(l.Context()) }, []int{1, 0, 0, 0}, 0},
		"Done":    {func(l api.Lease) error { return l.Done(l.Context()) }, []int{0, 0, 0, 0}, 0},
		"Fail":    {func(l api.Lease) error { return l.Fail(l.Context(), errItBroke) }, []int{0, 0, 1, 0}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce("s")
				o := h.own("start")
				l := o.held("s")
				o.SetMaxStreams(NoStreams)
				advance(10 * time.Minute)
				require.NoError(t, c.end(l))
				require.Equal(t, c.counts, h.server.counts())
				require.Equal(t, c.retried, h.server.retried())
				close(o.answer)
			})
		})
	}
}

// A stream whose owner was to hand it back, for having too many, is still held when a drain begins. The owner hears nothing new, and the
// drain waits for it as for all others: it ends in time, and says that it was the drain that ended the stream.
func TestDrainEndsAStreamThatIsBeingRebalanced(t *testing.T) {
	inEveryWay(t, func(t *testing.T, _ string, h *harness, o *owner) {
		defer close(o.answer)
		l := o.held("s")
		o.SetMaxStreams(NoStreams)
		advance(time.Minute)
		began := time.Now()
		shutdown, run := o.shutdownAndWait()
		require.ErrorIs(t, shutdown, api.ErrDrainTimeout)
		require.ErrorIs(t, run, api.ErrDrainTimeout)
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
		require.Equal(t, []error{api.ErrRebalanced}, o.reasons())
		cause := context.Cause(l.Context())
		require.ErrorIs(t, cause, api.ErrDrainTimeout)
		require.ErrorIs(t, cause, api.ErrDraining)
		require.NotErrorIs(t, cause, api.ErrRebalanced)
		require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
		require.Zero(t, h.server.retried())
	}, WithDrainTimeout(5*time.Second))
}

// An owner that answers in the drain hands the stream back for the reason that it got, and the drain ends at once and well.
func TestOwnerOfARebalancedStreamMayAnswerInADrain(t *testing.T) {
	inEveryWay(t, func(t *testing.T, way string, h *harness, o *owner) {
		l := o.held("s")
		o.SetMaxStreams(NoStreams)
		advance(time.Minute)
		began := time.Now()
		time.AfterFunc(2*time.Second, func() { close(o.answer) })
		shutdown, run := o.shutdownAndWait()
		require.NoError(t, shutdown)
		require.NoError(t, run)
		require.Less(t, time.Since(began), 4*time.Second)
		require.Equal(t, []error{api.ErrRebalanced}, o.reasons())
		requireCause(t, way, l, api.ErrRebalanced)
		require.Equal(t, []int{1, 0, 0, 0}, h.server.counts())
	})
}

// In a drain that begins while some streams are being rebalanced, the owners of the others hear of it.
func TestDrainAfterSomeStreamsWereRebalanced(t *testing.T) {
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				h.server.announce(streams(10)...)
				o := h.own(way, WithWorkers(10))
				o.SetMaxStreams(6)
				advance(time.Minute)
				time.AfterFunc(time.Second, func() { close(o.answer) })
				shutdown, _ := o.shutdownAndWait()
				require.NoError(t, shutdown)
				n := map[error]int{}
				for _, why := range o.reasons() {
					n[why]++
				}
				require.Equal(t, fmt.Sprint(map[error]int{api.ErrRebalanced: 4, api.ErrDraining: 6}), fmt.Sprint(n))
				require.Equal(t, []int{10, 0, 0, 0}, h.server.counts())
			})
		})
	}
}
