package position

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]ID{
		"0-0":             {},
		"0-1":             {0, 1},
		"1700000000000-3": {1700000000000, 3},
		"18446744073709551615-18446744073709551615": {math.MaxUint64, math.MaxUint64},
	} {
		got, err := Parse(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
		require.True(t, got.Is(text))
		require.False(t, got.Is(text+"0"))
	}
	for _, text := range []string{"", "-", "1", "1-", "-1", "1-2-3", "+1-2", "01-2", "1-02", "1_0-2", "1 -2", "(1-2", "$", "18446744073709551616-0", "a-b"} {
		_, err := Parse(text)
		require.Error(t, err, text)
	}
}

func TestCompare(t *testing.T) {
	ascending := []ID{{}, {0, 1}, {1, 0}, {1, 2}, {2, 0}, {math.MaxUint64, 0}}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			require.Equal(t, want, a.Compare(b))
			require.Equal(t, want < 0, a.Less(b))
		}
	}
}

func TestBack(t *testing.T) {
	require.Equal(t, ID{MS: 40_000}, ID{100_000, 7}.Back(time.Minute))
	require.Equal(t, ID{}, ID{60_000, 7}.Back(time.Minute))
	require.Equal(t, ID{}, ID{5, 1}.Back(time.Minute))
}

func TestMarkEncoding(t *testing.T) {
	for text, mark := range map[string]Mark{
		"f1 0-0":                  {},
		"f1 1700000000000-3":      {At: ID{1700000000000, 3}},
		"f1 5-0 2":                {At: ID{5, 0}, Failures: 2},
		"f1 5-0 0 state":          {At: ID{5, 0}, State: "state"},
		"f1 5-0 3  two \x00words": {At: ID{5, 0}, Failures: 3, State: " two \x00words"},
	} {
		require.Equal(t, text, mark.Encode())
		got, err := Decode(text)
		require.NoError(t, err)
		require.Equal(t, mark, got)
	}
}

// The longest mark fits into a checkpoint.
func TestLongestMarkFits(t *testing.T) {
	longest := Mark{At: ID{math.MaxUint64, math.MaxUint64}, Failures: math.MaxInt, State: strings.Repeat("s", MaxState)}
	require.LessOrEqual(t, len(longest.Encode()), api.MaxCheckpoint)
	got, err := Decode(longest.Encode())
	require.NoError(t, err)
	require.Equal(t, MaxFailures, got.Failures)
}

// What cannot be understood is an error that names what is known, and never the beginning of the stream.
func TestUnknownCheckpointIsAnError(t *testing.T) {
	for _, text := range []string{"", "f1", "f2 5-0", "5-0", "f1 ", "f1 x", "f1 5-0 ", "f1 5-0 x", "f1 5-0 -1", "f1 5-0 0", "f1 5-0 1 ",
		"f1 5-0 65536", "{\"offset\":5}", "f1  5-0", "f1 5-0 0 " + strings.Repeat("s", MaxState+1)} {
		_, err := Decode(text)
		require.ErrorIs(t, err, ErrNoMark, "%.40q", text)
		require.Less(t, len(err.Error()), 300)
	}
	_, err := Decode("f2 5-0")
	require.ErrorContains(t, err, `begins with "f2 5-0"`)
}

// Whatever can be decoded is encoded to the same bytes again.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"", "f1 0-0", "f1 1-2 3 state", "f1 1-2 0 s", "f1 18446744073709551615-0", "f2 0-0", "f1 1-2 "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		mark, err := Decode(text)
		if err != nil {
			require.ErrorIs(t, err, ErrNoMark)
			return
		}
		require.Equal(t, text, mark.Encode())
	})
}
