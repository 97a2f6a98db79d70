package ticker

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/test/servers"
)

// served is Serve in this process.
type served struct {
	in    *io.PipeWriter
	lines *bufio.Scanner
	ended chan error
}

func serve(o Options) *served {
	lines, in := io.Pipe()
	answers, out := io.Pipe()
	s := &served{in: in, lines: bufio.NewScanner(answers), ended: make(chan error, 1)}
	s.lines.Buffer(nil, 1<<20)
	go func() {
		err := Serve(context.Background(), o, lines, out)
		_ = out.Close()
		s.ended <- err
	}()
	return s
}

func (s *served) ask(t *testing.T, line string) (a Answer) {
	t.Helper()
	_, err := io.WriteString(s.in, line+"\n")
	require.NoError(t, err)
	require.True(t, s.lines.Scan())
	require.NoError(t, json.Unmarshal(s.lines.Bytes(), &a))
	return a
}

// TestOneOfTwoFiresEachTick where each takes a lock for it: there are as many locks as ticks.
func TestOneOfTwoFiresEachTick(t *testing.T) {
	server := servers.New(t)
	t.Setenv(address.EnvURL, "redis://"+server.Addr())
	var both []*served
	for range 2 {
		both = append(both, serve(Options{Model: Locked, Service: "s", Prefix: "p-", Schedules: 20, Every: 100 * time.Millisecond}))
	}
	ticks := func() (n int64) {
		for _, s := range both {
			a := s.ask(t, "look")
			require.Empty(t, a.Error)
			require.Equal(t, 20, a.Held)
			n += a.Ticks
		}
		return n
	}
	require.NoError(t, measure.Poll(t.Context(), time.Minute, func() (bool, error) { return ticks() >= 100, nil }))
	for _, s := range both {
		require.Empty(t, s.ask(t, "drain").Error)
	}
	fired := ticks()
	for _, s := range both {
		a := s.ask(t, "look")
		require.Equal(t, a.Ticks, a.Late.Count())
	}
	client := server.Client(t)
	require.EqualValues(t, fired, locks(t, client))
	require.Contains(t, both[0].ask(t, "odd").Error, "not a command")
	for _, s := range both {
		require.NoError(t, s.in.Close())
		require.NoError(t, <-s.ended)
	}
}

// locks is how many keys there are, and were, by one answer.
func locks(t *testing.T, client rueidis.Client) (n int64) {
	t.Helper()
	text, err := client.Do(t.Context(), client.B().Info().Build()).ToString()
	require.NoError(t, err)
	for _, field := range regexp.MustCompile(`(?m)^(?:expired_keys:|db0:keys=)(\d+)`).FindAllStringSubmatch(text, -1) {
		k, err := strconv.ParseInt(field[1], 10, 64)
		require.NoError(t, err)
		n += k
	}
	return n
}

func TestAProcessThatCannotStartSaysWhy(t *testing.T) {
	t.Setenv(address.EnvURL, "redis://127.0.0.1:1")
	s := serve(Options{Model: Locked, Every: time.Second})
	require.True(t, s.lines.Scan())
	require.Contains(t, s.lines.Text(), "connection refused")
	require.NoError(t, <-s.ended)
}
