package feed

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/engine/feed/internal/reading"
	"github.com/streamlease/streamlease/test/virtual"
)

// partsWith are the parts of a core that reads with r and logs nowhere.
func partsWith(r backing.Reader, v backing.Leaver) coreParts {
	return coreParts{Parts: backing.Parts{Reader: r, Leaver: v, Logger: slog.New(slog.DiscardHandler), Service: "orders"}}
}

// noLeaver calls a function, if it has one, when an ownership has ended.
type noLeaver struct {
	backing.Leaver
	ended func()
}

func (v noLeaver) Ended(api.Lease, error) {
	if v.ended != nil {
		v.ended()
	}
}

// slowReader takes a while to take a stream.
type slowReader struct {
	took    time.Duration
	removed int
}

func (r *slowReader) Add(reading.Source) backing.Handle                 { time.Sleep(r.took); return slowHandle{r} }
func (*slowReader) Release(int)                                         {}
func (*slowReader) Topology()                                           {}
func (*slowReader) LastID(context.Context, string) (id string, e error) { return "", nil }

type slowHandle struct{ r *slowReader }

func (slowHandle) Wake(bool) {}
func (h slowHandle) Remove() { h.r.removed++ }

// A stream that is lost while the reader takes it ends after that: else the next ownership of it could be given to the reader first, which
// takes the last one.
func TestStreamThatIsLostWhileTheReaderTakesIt(t *testing.T) {
	for name, interrupt := range map[string]func(k *core, l *leasetest.Lease){
		"lost":        func(k *core, l *leasetest.Lease) { l.Lose(nil); k.Disowned(l, api.ErrLeaseLost) },
		"handed back": func(k *core, l *leasetest.Lease) { k.Releasing(l, api.ErrReleasing) },
		"signaled":    func(k *core, l *leasetest.Lease) { l.Lose(nil); k.Signaled(l, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) {
				r := &slowReader{took: time.Second}
				c := Config{
					OnStart:  func(context.Context, api.Lease, string) error { return nil },
					OnSignal: func(context.Context, api.Lease, []byte) {},
				}
				began := time.Now()
				ended := make(chan time.Duration, 2)
				k, err := newCore(func(context.Context, *Batch) error { return nil }, c, partsWith(r, noLeaver{ended: func() { ended <- time.Since(began) }}))
				require.NoError(t, err)
				l := leasetest.New("a")
				k.Added(l)
				time.Sleep(time.Second / 2)
				interrupt(k, l)
				require.GreaterOrEqual(t, <-ended, time.Second)
				require.Equal(t, 1, r.removed)
				time.Sleep(time.Minute)
				require.Empty(t, ended)
				require.Zero(t, k.streams.count())
				<-k.stop()
			})
		})
	}
}

// blindReader cannot say what a stream ends with.
type blindReader struct {
	slowReader
	asked []time.Time
}

func (r *blindReader) LastID(context.Context, string) (string, error) {
	r.asked = append(r.asked, time.Now())
	return "", errors.New("NOPERM")
}

// Where a stream begins is asked less and less often while there is no answer: each of 100,000 streams would ask every two seconds.
func TestTheEndIsAskedForLessAndLessOften(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		r := &blindReader{}
		k, err := newCore(func(context.Context, *Batch) error { return nil }, Config{Start: Latest}, partsWith(r, noLeaver{}))
		require.NoError(t, err)
		k.Added(leasetest.New("a"))
		time.Sleep(time.Hour)
		<-k.stop()
		require.Less(t, len(r.asked), 90)
		require.Greater(t, len(r.asked), 60)
		require.InDelta(t, 1.8, r.asked[1].Sub(r.asked[0]).Seconds(), 0.21)
		last := r.asked[len(r.asked)-2:]
		require.InDelta(t, 54, last[1].Sub(last[0]).Seconds(), 6.01)
	})
}

// What reads have not brought is passed over only if the server that was read is the one that was asked for the last ID.
func TestNothingIsPassedOverWhereAServerWasReplacedLately(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		k, err := newCore(func(context.Context, *Batch) error { return nil }, Config{}, partsWith(&slowReader{}, noLeaver{}))
		require.NoError(t, err)
		k.Added(leasetest.New("a"))
		s := k.streams.find("a")
		last := position.ID{MS: 5}
		pass := func() position.ID {
			s.mu.Lock()
			s.flags |= passing
			k.passes.set(s, last)
			s.mu.Unlock()
			require.Equal(t, reading.Again, s.Read(reading.Result{After: "0-0"}))
			require.Equal(t, reading.Rest, s.Read(reading.Result{After: "0-0"}))
			return s.at
		}
		k.Topology()
		require.Equal(t, position.ID{}, pass())
		time.Sleep(changeLasts + time.Second)
		require.Equal(t, last, pass())
		<-k.stop()
	})
}
