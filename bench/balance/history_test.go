package balance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/overlap"
)

const s = time.Second

// owned is an ownership in a journal.
func owned(stream int, token api.Token, from, until time.Duration, state journal.State) journal.Entry {
	return journal.Entry{Number: stream, State: state, Record: overlap.Record{
		Party: "p", Stream: fmt.Sprint(stream), Token: token, From: from, Until: until,
	}}
}

// twoAndOne is a fleet of two in which the first one holds four streams and gives one back at 10 s, which the other one takes after 5 ms. It
// gives another one back at 20 s, which it takes itself.
func twoAndOne() *history {
	const end = 40 * s
	return newHistory([]life{{0, forever}, {5 * s, forever}}, [][]journal.Entry{
		{
			owned(0, 1, s, end, journal.Owned), owned(1, 1, s, end, journal.Owned),
			owned(2, 1, s, 10*s, journal.Given), owned(3, 1, s, 20*s, journal.Given), owned(3, 2, 20*s+120*time.Millisecond, end, journal.Owned),
		},
		{owned(2, 2, 10*s+5*time.Millisecond, end, journal.Owned)},
	}, nil, end)
}

func TestHistoryCountsWhoHeldWhat(t *testing.T) {
	h := twoAndOne()
	for at, held := range map[time.Duration][]int{
		0: {0, -1}, 2 * s: {4, -1}, 6 * s: {4, 0}, 10*s + time.Millisecond: {3, 0}, 11 * s: {3, 1}, 20*s + time.Millisecond: {2, 1}, 39 * s: {3, 1},
	} {
		require.Equal(t, held, h.heldBy(at), "%v", at)
	}
	require.Equal(t, []float64{1.5, .5}, h.shares(30*s, 4))
	require.Equal(t, 3, h.owned(10*s+time.Millisecond))
	require.Equal(t, 4, h.seen(38*s))
	require.InDelta(t, 18*s+120*time.Millisecond, h.ownedSince(2*s, 30*s, 4), float64(2*resolution))
	require.Zero(t, h.ownedSince(21*s, 30*s, 4))
	require.Equal(t, 4, h.peak(2*s, 30*s, func(int) bool { return true }))
	require.Equal(t, 1, h.peak(2*s, 30*s, func(process int) bool { return process == 1 }))
	require.Empty(t, h.overlaps())
}

func TestHistoryFindsMoves(t *testing.T) {
	all := twoAndOne().moves(2*s, 40*s)
	require.Equal(t, []move{
		{stream: 2, from: 0, to: 1, at: 10*s + 5*time.Millisecond, gap: 5 * time.Millisecond, given: true},
		{stream: 3, from: 0, to: 0, at: 20*s + 120*time.Millisecond, gap: 120 * time.Millisecond, given: true},
	}, all)
	m := movesOf(all, 4)
	require.Equal(t, 2, m.All)
	require.Equal(t, .5, m.Mean)
	require.Equal(t, 1, m.Most)
	require.Equal(t, 1, m.Back)
	require.Zero(t, m.Waited)
	require.Equal(t, 120*time.Millisecond, m.Gap.Max)
	require.Len(t, twoAndOne().moves(15*s, 40*s), 1, "the second one")
}

// What a process owned that was killed is without an owner from the kill, though its journal was last written a moment before.
func TestHistoryKnowsTheDead(t *testing.T) {
	h := newHistory([]life{{0, 10 * s}, {0, forever}}, [][]journal.Entry{
		{owned(0, 1, s, 10*s-40*time.Millisecond, journal.Owned), owned(1, 1, s, 5*s, journal.Owned)},
		{owned(0, 2, 22*s, 30*s, journal.Owned)},
	}, map[int]time.Duration{0: 10 * s}, 30*s)
	require.Equal(t, []move{{stream: 0, from: 0, to: 1, at: 22 * s, gap: 12 * s}}, h.moves(0, 30*s))
	require.Equal(t, 1, movesOf(h.moves(0, 30*s), 2).Dead)
	require.Equal(t, []float64{.5}, h.shares(25*s, 2))
	require.Equal(t, 1, h.seen(28*s), "the other one was lost before the kill, and is nobody's")
}

func TestHistoryFindsWhatIsDone(t *testing.T) {
	h := newHistory([]life{{0, forever}}, [][]journal.Entry{{owned(0, 1, s, 2*s, journal.Finished), owned(0, 2, 3*s, 4*s, journal.Owned)}}, nil, 4*s)
	require.Empty(t, h.moves(0, 4*s), "its owner ended it, and it was announced again")
}

func TestTwoOwnersAreSeen(t *testing.T) {
	h := newHistory([]life{{0, forever}, {0, forever}}, [][]journal.Entry{{owned(0, 1, s, 3*s, journal.Owned)}, {owned(0, 2, 2*s, 4*s, journal.Owned)}}, nil, 4*s)
	require.Contains(t, h.overlaps(), "two owners")
	require.Error(t, Result{Changes: []Change{{Overlaps: h.overlaps()}}}.broken())
	require.Error(t, Result{Steady: &Calm{Lost: 1}}.broken())
	require.NoError(t, Result{Steady: &Calm{}}.broken())
}

func TestSharesAreEvenWithinATenthAndAStream(t *testing.T) {
	for _, x := range []struct {
		held []int
		even bool
	}{
		{nil, false}, {[]int{7}, true}, {[]int{111, 89}, true}, {[]int{112, 88}, false}, {[]int{2, 2, 1}, true}, {[]int{1, 0}, true}, {[]int{2, 0, 1}, true},
		{[]int{4, 0}, false},
	} {
		streams := 0
		for _, n := range x.held {
			streams += n
		}
		require.Equal(t, x.even, isEven(sharesOf(x.held, streams), streams), "%v", x.held)
	}
}

func TestTimeUntilSharesAreEven(t *testing.T) {
	const end = 60 * s
	var first, second []journal.Entry
	for i := range 40 {
		if i < 20 {
			first = append(first, owned(i, 1, s, end, journal.Owned))
			continue
		}
		at := time.Duration(i) * s
		first = append(first, owned(i, 1, s, at, journal.Given))
		second = append(second, owned(i, 2, at+time.Millisecond, end, journal.Owned))
	}
	h := newHistory([]life{{0, forever}, {10 * s, forever}}, [][]journal.Entry{first, second}, nil, end)
	_, even := h.evenSince(10*s, 29*s, 40)
	require.False(t, even)
	took, even := h.evenSince(10*s, end, 40)
	require.True(t, even)
	require.InDelta(t, 26*s, took, float64(2*resolution), "23 and 17 are within a tenth and a stream, from the 36th second on")
}

func TestManyProcessesAreShownByTheirExtremes(t *testing.T) {
	series := []Sample{{0, []int{-1, -1, -1}}, {s, []int{5, 4, -1}}, {2 * s, []int{-1, 4, 6}}}
	names, values := columnsOf(series, 3)
	require.Equal(t, []string{"process 1", "process 2", "process 3"}, names)
	require.Equal(t, [][]int{{-1, 5, -1}, {-1, 4, 4}, {-1, -1, 6}}, values)
	names, values = columnsOf(series, 2)
	require.Equal(t, []string{"least", "middle", "greatest"}, names)
	require.Equal(t, [][]int{{-1, 4, 4}, {-1, 5, 6}, {-1, 5, 6}}, values)
}

func TestHistogramsAddUp(t *testing.T) {
	a, b := measureOf(1, 2), measureOf(2, 3)
	both, err := sum(a, b)
	require.NoError(t, err)
	require.EqualValues(t, 4, both.Count())
	require.EqualValues(t, 2, a.Count())
	b.Schema++
	_, err = sum(a, b)
	require.Error(t, err)
}

// measureOf is a histogram with one observation in each of these buckets.
func measureOf(buckets ...int) measure.Histogram {
	h := measure.Histogram{Schema: 5, Buckets: make(map[int]int64)}
	for _, i := range buckets {
		h.Buckets[i]++
	}
	return h
}
