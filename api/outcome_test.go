package api_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func TestPermanent(t *testing.T) {
	marked := api.Permanent(io.ErrUnexpectedEOF)
	require.ErrorIs(t, marked, io.ErrUnexpectedEOF)
	require.Equal(t, io.ErrUnexpectedEOF.Error(), marked.Error())

	require.NoError(t, api.Permanent(nil))
	for _, err := range []error{
		marked,
		fmt.Errorf("order 7: %w", marked),
		errors.Join(io.EOF, marked),
		api.Permanent(marked),
		api.Permanent(api.ErrLeaseLost),
		&api.PanicError{Value: marked},
	} {
		require.True(t, api.IsPermanent(err), "%v", err)
	}
	for _, err := range []error{nil, io.ErrUnexpectedEOF, api.Snooze(time.Second), fmt.Errorf("hides it: %v", marked)} {
		require.False(t, api.IsPermanent(err), "%v", err)
	}
}

func TestSnooze(t *testing.T) {
	snoozed := api.Snooze(90 * time.Second)
	require.Contains(t, snoozed.Error(), "1m30s")
	for _, err := range []error{
		snoozed,
		fmt.Errorf("rate limit: %w", snoozed),
		errors.Join(io.EOF, snoozed, api.Snooze(time.Hour)),
		&api.PanicError{Value: snoozed},
	} {
		delay, ok := api.SnoozeDelay(err)
		require.True(t, ok, "%v", err)
		require.Equal(t, 90*time.Second, delay)
	}
	for _, err := range []error{nil, io.EOF, fmt.Errorf("hides it: %v", snoozed)} {
		_, ok := api.SnoozeDelay(err)
		require.False(t, ok, "%v", err)
	}
}

func TestSnoozeOfNoTimeOrLessIsNoDelay(t *testing.T) {
	for _, after := range []time.Duration{0, -time.Second} {
		delay, ok := api.SnoozeDelay(api.Snooze(after))
		require.True(t, ok)
		require.Zero(t, delay)
	}
}

// An engine that asks both questions gets one answer, whatever the order.
func TestPermanentBeatsSnooze(t *testing.T) {
	for _, err := range []error{
		api.Permanent(api.Snooze(time.Second)),
		errors.Join(api.Snooze(time.Second), api.Permanent(io.EOF)),
	} {
		require.True(t, api.IsPermanent(err))
		_, ok := api.SnoozeDelay(err)
		require.False(t, ok)
	}
}

func TestPanicError(t *testing.T) {
	text := &api.PanicError{Value: "out of cheese", Stack: []byte("goroutine 1")}
	require.Equal(t, "streamlease: handler panicked: out of cheese", text.Error())
	require.NoError(t, text.Unwrap())

	wrapped := fmt.Errorf("stream orders: %w", &api.PanicError{Value: io.EOF})
	require.ErrorIs(t, wrapped, io.EOF)
	var p *api.PanicError
	require.ErrorAs(t, wrapped, &p)
	require.Equal(t, io.EOF, p.Value)
}
