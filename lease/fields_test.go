package lease

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/api"
)

func TestKeptFields(t *testing.T) {
	long := strings.Repeat("v", api.MaxFields-1)
	for name, c := range map[string]struct{ body, kept []string }{
		"none":                       {[]string{"lbs-input", "{}", "_retry_count", "1", "_own", "x", "", "y", "lbs-input", "{}"}, nil},
		"in order, repeated":         {[]string{"b", "1", "lbs-input", "{}", "a", "2", "b", "3"}, []string{"b", "1", "a", "2", "b", "3"}},
		"as long as can be":          {[]string{"k", long}, []string{"k", long}},
		"too long":                   {[]string{"k", long + "v", "after", "it"}, []string{"after", "it"}},
		"what fits after what fills": {[]string{"k", long[10:], "too long", "by far", "a", "b"}, []string{"k", long[10:], "a", "b"}},
		"any bytes":                  {[]string{"\xff", "\x00\n"}, []string{"\xff", "\x00\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			kept := keptFields(body(c.body...))
			if c.kept == nil {
				require.Nil(t, kept, "costs nothing")
				return
			}
			var flat []string
			for _, f := range *kept {
				flat = append(flat, f.Name, f.Value)
			}
			require.Equal(t, c.kept, flat)
			l := &Lease{fields: kept}
			value, ok := l.Field(c.kept[0])
			require.True(t, ok)
			require.Equal(t, c.kept[1], value)
			_, ok = l.Field("absent")
			require.False(t, ok)
		})
	}
}

func TestCheckFields(t *testing.T) {
	require.NoError(t, CheckFields([]api.Field{{Name: "traceparent", Value: ""}, {Name: "k", Value: strings.Repeat("v", api.MaxFields-12)}}))
	require.ErrorIs(t, CheckFields([]api.Field{{Name: "k", Value: strings.Repeat("v", api.MaxFields)}}), api.ErrTooLarge)
	for _, name := range []string{"", "lbs-input", "_retry_count", "_x"} {
		require.ErrorIs(t, CheckFields([]api.Field{{Name: name, Value: "v"}}), api.ErrInvalidConfig, name)
	}
}

// Of a heavy entry, a read by a script and a read without one return the same, with the producer's short fields.
func TestHeavyEntriesKeepShortFields(t *testing.T) {
	w := newHarness(t)
	w.open(alice)
	rapid.Check(t, func(r *rapid.T) {
		fields := []string{"filler", strings.Repeat("x", WholeWeight)}
		names := rapid.SampledFrom([]string{"traceparent", "a", "_own", FieldAnnouncement, FieldRetries, "k"})
		for range rapid.IntRange(1, 6).Draw(r, "fields") {
			n := rapid.SampledFrom([]int{0, 1, 10, 500, 1010, 1024}).Draw(r, "size")
			fields = append(fields, names.Draw(r, "name"), strings.Repeat("1", n))
		}
		want := Entry{Body: body(fields...)}
		want.cut(w.set.Limits.MaxAnnouncement())
		want.ID = w.Text(append([]string{"XADD", w.keys.Input, "*"}, fields...)...)
		got, _, err := w.store.ReadOn(w.ctx, 0, alice, 1, MaxCallWeight, 0)
		require.NoError(r, err)
		require.Len(r, got, 1)
		require.Equal(r, want.ID, got[0].ID)
		require.Equal(r, len(want.Body), len(got[0].Body))
		for i := range want.Body {
			require.Equal(r, want.Body[i], got[0].Body[i])
		}
		require.Equal(r, want.Cut(), got[0].Cut())
	})
}

// The cause of the context says how a lease was ended.
func TestCauseSaysHowALeaseEnded(t *testing.T) {
	ctx := gone()
	for want, end := range map[error]func(l *Lease){
		api.ErrDone:     func(l *Lease) { l.Done(ctx) },
		api.ErrReleased: func(l *Lease) { l.Release(ctx) },
		api.ErrFailed:   func(l *Lease) { l.FailFor(errors.New("no")) },
	} {
		l, _ := held(t)
		end(l)
		cause := context.Cause(l.Context())
		require.ErrorIs(t, cause, want)
		require.ErrorIs(t, cause, api.ErrNotHeld)
		for _, other := range []error{api.ErrDone, api.ErrReleased, api.ErrFailed} {
			require.Equal(t, other == want, errors.Is(cause, other))
		}
	}
}
