package lease

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// hooked is what a hook was told.
type hooked struct {
	mu           sync.Mutex
	begun, ended []string
	errs         []error
}

func (h *hooked) hook(_ context.Context, script string) func(error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun = append(h.begun, script)
	return func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended = append(h.ended, script)
		if err != nil {
			h.errs = append(h.errs, err)
		}
	}
}

// The hook gets every call of a store but those that keep leases and sessions, once each, also where the server did not know the script.
func TestHookIsToldOfScriptsAndNotOfRenewals(t *testing.T) {
	var h hooked
	w := newHarness(t, func(s *Settings) { s.Hook = h.hook })
	w.open(alice)
	l := w.own(alice, "s")
	for range 100 {
		w.beat(alice)
		w.store.Renew(w.ctx, 0, alice, 0, [][]*Lease{{l}, {l}}, nil, nil)
		require.Equal(t, []Verdict{Kept}, w.store.Extend(w.ctx, alice, []*Lease{l}))
	}
	w.store.Verify(w.ctx, 0, alice, []*Lease{l}, Savings{})
	require.Equal(t, []string{"acquire"}, h.begun)
	require.Equal(t, h.begun, h.ended)
	require.Empty(t, h.errs)

	w.Do("DEL", w.keys.Later)
	w.Do("SET", w.keys.Later, "x")
	_, _, err := w.promote(10)
	require.Error(t, err)
	require.Equal(t, []string{"acquire", "promote"}, h.ended)
	require.Equal(t, []error{err}, h.errs)
}

// Calls that go out together are told of one by one; an answer of nil is none that failed, and a hook may have nothing to be told.
func TestHookOfAPipeline(t *testing.T) {
	w := newHarness(t)
	fails, answersNil := NewScript("fails", "return redis.error_reply('NO')\n"), NewScript("nil", "return false\n")
	call := func(s *Script) Call { return Call{Script: s, Keys: []string{w.keys.Input}} }
	var h hooked
	plain := NewRunner(w.Client, nil)
	results := plain.Hooked(h.hook).DoMulti(w.ctx, []Call{call(answersNil), call(fails)})
	require.True(t, rueidis.IsRedisNil(results[0].Error()))
	require.Equal(t, []string{"nil", "fails"}, h.begun)
	require.Equal(t, h.begun, h.ended)
	require.Len(t, h.errs, 1)

	require.Error(t, plain.Hooked(func(context.Context, string) func(error) { return nil }).Do(w.ctx, call(fails)).Error())
	require.Error(t, plain.Do(w.ctx, call(fails)).Error())
	require.Len(t, h.begun, 2, "the runner that it was made from has none")
}
