package load

import (
	"encoding/json"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/test/servers"
)

func TestAMessageSaysWhenItWasSent(t *testing.T) {
	for _, n := range []int64{1, math.MaxInt64} {
		now := time.Now()
		v := Value(now, n)
		require.Len(t, v, Size)
		sent, number, err := Parse(v)
		require.NoError(t, err)
		require.True(t, sent.Equal(now))
		require.Equal(t, n, number)
	}
	for _, text := range []string{"", "x", "1", "1 ", "1 x "} {
		_, _, err := Parse(text)
		require.Error(t, err, text)
	}
}

func TestEvenGivesEachStreamAsMany(t *testing.T) {
	next := Even.chooser(100, 1)
	counts := make([]int, 100)
	for range 300 {
		counts[next()]++
	}
	for i, n := range counts {
		require.Equal(t, 3, n, i)
	}
}

func TestZipfHasFewBusyStreams(t *testing.T) {
	const streams, messages = 10_000, 100_000
	next := Zipf.chooser(streams, 1)
	again := Zipf.chooser(streams, 1)
	counts := make([]int, streams)
	for range messages {
		i := next()
		require.Equal(t, i, again(), "the same seed")
		counts[i]++
	}
	slices.Sort(counts)
	first, hundred := counts[streams-1], 0
	for _, n := range counts[streams-100:] {
		hundred += n
	}
	require.InDelta(t, .15, float64(first)/messages, .01)
	require.InDelta(t, .65, float64(hundred)/messages, .02)
	require.Zero(t, Zipf.chooser(1, 1)())
}

func TestSlotsAreRangesWithBothEnds(t *testing.T) {
	names := Names("user-", 1000)
	low, high := Slots("0-5460"), Slots("5461-10922,10923-16383")
	require.Len(t, append(low.Of(names, true), high.Of(names, true)...), len(names))
	require.Equal(t, low.Of(names, true), high.Of(names, false))
	require.Empty(t, Slots("").Of(names, true))
}

// serve runs commands in this process.
func serve(t *testing.T, o Options, server *servers.Server, commands ...string) (answers []Sent) {
	t.Helper()
	for _, variable := range address.Environ("redis://" + server.Addr()) {
		name, v, _ := strings.Cut(variable, "=")
		t.Setenv(name, v)
	}
	var out strings.Builder
	require.NoError(t, Serve(t.Context(), o, strings.NewReader(strings.Join(commands, "\n")), &out))
	for decode := json.NewDecoder(strings.NewReader(out.String())); ; {
		var s Sent
		err := decode.Decode(&s)
		if err == io.EOF {
			return answers
		}
		require.NoError(t, err)
		answers = append(answers, s)
	}
}

func TestMessagesAreSentAtTheirRate(t *testing.T) {
	server := servers.New(t)
	answers := serve(t, Options{Prefix: "s-", Streams: 20}, server, "fill 2 even", "send 1000 500000000 zipf", "send 0 1 even", "send 1 1 odd", "fly 1 even")
	require.Len(t, answers, 5)
	require.EqualValues(t, 40, answers[0].Messages)
	require.EqualValues(t, 41*20, answers[0].Sum)
	require.EqualValues(t, 540, answers[1].Messages)
	require.EqualValues(t, 541*270, answers[1].Sum)
	require.GreaterOrEqual(t, answers[1].Took, 499*time.Millisecond, "the last one is due a millisecond before the end")
	require.EqualValues(t, 500, answers[1].Late.Count())
	for _, refused := range answers[2:] {
		require.NotEmpty(t, refused.Error)
	}
	sum := int64(0)
	client := server.Client(t)
	for _, s := range Names("s-", 20) {
		n, err := client.Do(t.Context(), client.B().Xlen().Key(s).Build()).AsInt64()
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, int64(2))
		sum += n
	}
	require.EqualValues(t, 540, sum)
}

func TestOnlyStreamsInTheSlots(t *testing.T) {
	server := servers.New(t)
	within, without := Slots("0-8191"), Slots("0-8191")
	some := serve(t, Options{Prefix: "s-", Streams: 100, Within: within}, server, "fill 1 even")[0].Messages
	others := serve(t, Options{Prefix: "s-", Streams: 100, Without: without}, server, "fill 1 even")[0].Messages
	require.Positive(t, some)
	require.Positive(t, others)
	require.EqualValues(t, 100, some+others)
	none := serve(t, Options{Prefix: "s-", Streams: 1, Within: "1-1"}, server)
	require.Contains(t, none[0].Error, "none of 1 streams is in these slots")
}
