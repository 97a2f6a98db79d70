package guard

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

var errTest = errors.New("of the test")

// fallsOver is an error whose methods panic if it is nil.
type fallsOver struct{ cause error }

func (f *fallsOver) Error() string { return f.cause.Error() }
func (f *fallsOver) Unwrap() error { return f.cause }

// unwrapPanics is an error whose text can be read, but not its causes.
type unwrapPanics struct{}

func (unwrapPanics) Error() string   { return "unwrap me" }
func (unwrapPanics) Is(error) bool   { return false }
func (unwrapPanics) Unwrap() []error { panic("no list") }

// isPanics is an error that cannot be compared with another one.
type isPanics struct{}

func (isPanics) Error() string { return "compare me" }
func (isPanics) Is(error) bool { panic("incomparable") }

func TestCall(t *testing.T) {
	require.NoError(t, Call(func() error { return nil }))
	require.Equal(t, errTest, Call(func() error { return errTest }))
	for name, value := range map[string]any{"an error": errTest, "text": "text", "a number": 7} {
		err := Call(func() error { panic(value) })
		var panicked *api.PanicError
		require.ErrorAs(t, err, &panicked, name)
		require.Equal(t, value, panicked.Value, name)
		require.Contains(t, string(panicked.Stack), "TestCall", name)
	}
}

func TestFinally(t *testing.T) {
	for name, x := range map[string]struct {
		f        func() error
		want     error // nil: none
		panicked any   // nil: f did not fall over
		returns  bool  // Finally does
	}{
		"nothing":  {f: func() error { return nil }, returns: true},
		"an error": {f: func() error { return errTest }, want: errTest, returns: true},
		"a panic":  {f: func() error { panic("text") }, panicked: "text", returns: true},
		"goexit":   {f: func() error { runtime.Goexit(); return nil }, panicked: api.ErrGoexit},
	} {
		t.Run(name, func(t *testing.T) {
			var ends []error
			returned := false
			through := make(chan struct{})
			go func() {
				defer close(through)
				Finally(x.f, func(err error) { ends = append(ends, err) })
				returned = true
			}()
			<-through
			require.Equal(t, x.returns, returned)
			require.Len(t, ends, 1)
			if x.panicked == nil {
				require.Equal(t, x.want, ends[0])
				return
			}
			var panicked *api.PanicError
			require.ErrorAs(t, ends[0], &panicked)
			require.Equal(t, x.panicked, panicked.Value)
			require.NotEmpty(t, panicked.Stack)
		})
	}
}

func TestError(t *testing.T) {
	for name, x := range map[string]struct {
		err  error
		text string // of the panic; empty: the error comes back as it is
	}{
		"none":              {},
		"an ordinary error": {err: errTest},
		"a snooze":          {err: api.Snooze(time.Second)},
		"a context's end":   {err: context.Canceled},
		"methods that work": {err: &fallsOver{errTest}},
		"a typed nil":       {err: (*fallsOver)(nil), text: "*guard.fallsOver"},
		"Unwrap panics":     {err: unwrapPanics{}, text: "no list"},
		"Is panics":         {err: isPanics{}, text: "incomparable"},
		"one deeper":        {err: errors.Join(errTest, isPanics{}), text: "incomparable"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Error(x.err)
			if x.text == "" {
				require.Equal(t, x.err, got)
				return
			}
			var panicked *api.PanicError
			require.ErrorAs(t, got, &panicked)
			require.Contains(t, got.Error(), "a method of the error of type")
			require.Contains(t, got.Error(), x.text)
			require.NotEmpty(t, panicked.Stack)
		})
	}
}
