package feed

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
	"github.com/streamlease/streamlease/test/virtual"
)

// fakeTrims has the checkpoints of streams, and notes to where they are trimmed.
type fakeTrims struct {
	sync.Mutex
	stored  map[string]string
	gone    map[string]bool
	err     error
	trimmed map[string]string
}

func (f *fakeTrims) Stored(_ context.Context, streams []string) ([]string, error) {
	f.Lock()
	defer f.Unlock()
	found := make([]string, len(streams))
	for i, s := range streams {
		found[i] = f.stored[s]
	}
	return found, f.err
}

func (f *fakeTrims) Trim(_ context.Context, streams []string, at []position.ID) ([]bool, []error) {
	f.Lock()
	defer f.Unlock()
	gone, errs := make([]bool, len(streams)), make([]error, len(streams))
	for i, s := range streams {
		if gone[i] = f.gone[s]; !gone[i] {
			f.trimmed[s] = at[i].String()
		}
	}
	return gone, errs
}

func (f *fakeTrims) set(change func()) {
	f.Lock()
	defer f.Unlock()
	change()
}

func (f *fakeTrims) is() map[string]string {
	f.Lock()
	defer f.Unlock()
	return maps.Clone(f.trimmed)
}

// inTrimmer runs f with a trimmer that lags ten seconds.
func inTrimmer(t *testing.T, f func(k *core, trims *fakeTrims, handle func(name, id string))) {
	virtual.Test(t, func(t *testing.T) {
		trims := &fakeTrims{stored: map[string]string{}, gone: map[string]bool{}, trimmed: map[string]string{}}
		p := partsWith(nil, nil)
		p.trim = &trimTerms{lag: func() time.Duration { return 10 * time.Second }, open: func() trimSteps { return trims }}
		k, err := newCore(func(context.Context, *Batch) error { return nil }, Config{}, p)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); k.trimmer.run(ctx) }()
		streams := map[string]*stream{}
		f(k, trims, func(name, id string) {
			s := streams[name]
			if s == nil {
				s = &stream{shared: k.shared, lease: leasetest.New(name), seen: unknown}
				streams[name] = s
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.advanceLocked(&Batch{from: s, Messages: []Message{{ID: id}}}, 1)
		})
		cancel()
		<-done
		<-k.stop()
	})
}

// A position counts once Redis has it, and a session TTL later.
func TestTrimmerLagsBehindWhatIsStored(t *testing.T) {
	inTrimmer(t, func(_ *core, trims *fakeTrims, handle func(name, id string)) {
		trims.set(func() { trims.stored["a"] = "17 v f1 4-0" })
		handle("a", "5-0")
		time.Sleep(12 * time.Second)
		synctest.Wait()
		require.Empty(t, trims.is())
		trims.set(func() { trims.stored["a"] = "17 v f1 5-0 0 state" })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Equal(t, map[string]string{"a": "4-0"}, trims.is(), "what was stored when it looked")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, map[string]string{"a": "5-0"}, trims.is(), "it is behind the position, so it looks again")
		handle("a", "6-0")
		trims.set(func() { trims.stored["a"] = "17 r f1 6-0" })
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, map[string]string{"a": "6-0"}, trims.is())
	})
}

// Nothing is trimmed where no checkpoint is stored, one of somebody else, or one that is not understood.
func TestTrimmerTrimsNothingThatIsNotStored(t *testing.T) {
	for name, stored := range map[string]string{
		"none": "", "done": "17 d1700000000000 f1 5-0", "another's": "17 v offset 5", "newer": "17 v f2 5-0", "unknown tag": "17 x f1 5-0", "start": "17 v f1 0-0",
	} {
		t.Run(name, func(t *testing.T) {
			inTrimmer(t, func(_ *core, trims *fakeTrims, handle func(name, id string)) {
				trims.set(func() { trims.stored["a"] = stored })
				handle("a", "5-0")
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Empty(t, trims.is())
				trims.set(func() { trims.stored["a"] = "17 v f1 6-0" })
				handle("a", "6-0")
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, map[string]string{"a": "6-0"}, trims.is(), "the next messages try again")
			})
		})
	}
}

func TestTrimmerGoesOnAfterAnError(t *testing.T) {
	inTrimmer(t, func(_ *core, trims *fakeTrims, handle func(name, id string)) {
		trims.set(func() { trims.stored["a"] = "17 v f1 5-0" })
		trims.set(func() { trims.err = errors.New("away") })
		handle("a", "5-0")
		time.Sleep(time.Minute)
		synctest.Wait()
		trims.set(func() { trims.err = nil })
		handle("a", "5-0")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, map[string]string{"a": "5-0"}, trims.is())
	})
}
