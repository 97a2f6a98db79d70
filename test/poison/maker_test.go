package poison

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// newMaker makes a Maker that counts the valid announcements it is asked for.
func newMaker(asked *int) Maker {
	return Maker{Service: "svc", MaxFields: 5000, MaxBytes: 1 << 20, Announce: func(fill int) string {
		*asked++
		return `{"DataStreamName":"good-` + strconv.Itoa(*asked) + `","Info":{"Fill":"` + strings.Repeat("x", fill) + `"}}`
	}}
}

// body returns the fields of an entry as they are read.
func body(e Entry) (out []rueidis.XRangeFieldValue) {
	for i := 0; i < len(e.Fields); i += 2 {
		out = append(out, rueidis.XRangeFieldValue{Field: e.Fields[i], Value: e.Fields[i+1]})
	}
	return out
}

// TestEntriesAreWithinBounds: all kinds occur, they reach their limits and do not exceed them, and they describe themselves
// correctly.
func TestEntriesAreWithinBounds(t *testing.T) {
	layout, err := cluster.NewLayout("svc", 1)
	require.NoError(t, err)
	rnd := rand.New(rand.NewPCG(1, 0))
	seen, widest, heaviest := make(map[string]bool), 0, 0
	for range 600 {
		data := make([]byte, 40)
		for i := range data {
			data[i] = byte(rnd.Uint32())
		}
		asked := 0
		e, rest := newMaker(&asked).Next(data)
		require.LessOrEqual(t, len(rest), len(data))
		require.NotEmpty(t, e.Fields, e.Kind)
		require.Zero(t, len(e.Fields)%2, e.Kind)
		require.Equal(t, e.Announces, asked == 1, e.Kind)
		parsed, err := lease.ParseEntry(layout, 0, "1-1", body(e))
		if err == nil && strings.HasPrefix(parsed.Stream, "good-") {
			require.True(t, e.Announces, e.Kind)
		}
		if !e.Announces && (e.Kind == "malformed" || e.Kind == "own fields only") {
			require.Error(t, err, "%.80v", e.Fields)
		}
		again, _ := newMaker(new(int)).Next(data)
		require.True(t, slices.Equal(e.Fields, again.Fields), e.Kind)
		seen[e.Kind] = true
		widest, heaviest = max(widest, len(e.Fields)/2), max(heaviest, e.Weight())
	}
	require.Len(t, seen, len(Kinds(false))+len(Kinds(true)))
	require.Greater(t, widest, 2500)
	require.Less(t, widest, 2*5000, "many fields of one kind and many of another")
	require.Greater(t, heaviest, 1<<19)
	require.Less(t, heaviest, 3<<20)
}

// TestMissingBytesCountAsZero: a fuzzer starts with no bytes at all.
func TestMissingBytesCountAsZero(t *testing.T) {
	for _, kind := range append(Kinds(false), Kinds(true)...) {
		e, rest := newMaker(new(int)).Next([]byte{kind})
		require.NotEmpty(t, e.Fields, e.Kind)
		require.Empty(t, rest)
	}
}
