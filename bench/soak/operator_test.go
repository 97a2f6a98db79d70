package soak

import (
	"context"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/journal"
	"github.com/streamlease/streamlease/test/servers"
)

// TestOperatorNotesWhatItTamperedWith: the state of each entry, its consumer and its token.
func TestOperatorNotesWhatItTamperedWith(t *testing.T) {
	consumers := make(map[string]bool)
	for seed := range uint64(6) {
		for _, what := range acts {
			k, ids := sixEntries(t)
			o := acted(t, k, what, seed)
			require.Len(t, o.last, o.struck[what])
			require.Len(t, o.entries, o.struck[what])
			for which, a := range o.last {
				i := which.stream
				require.Equal(t, act{
					what: what, from: a.from, until: a.until, where: "svc-input " + ids[i], which: announcement{i, 7}, gone: what == actDeleted || what == actTrimmed,
					was:      []entryState{held, held, held, read, waiting, waiting}[i],
					consumer: []string{"a.1", "a.1", "b.1", "a.1", "", ""}[i], token: []api.Token{40, 41, 42, 0, 0, 0}[i],
				}, a)
				require.LessOrEqual(t, a.from, a.until)
				there, err := command(k, "XRANGE", "svc-input", ids[i], ids[i]).AsXRange()
				require.NoError(t, err)
				require.Equal(t, a.gone, len(there) == 0)
				consumers[a.consumer] = true
			}
			if what == actConsumer {
				require.Contains(t, []int{1, 3}, o.struck[what])
			}
			if !o.entries["svc-input "+ids[0]].gone && what != actTrimmed && what != actDeleted {
				all, err := k.stranded(context.Background())
				require.NoError(t, err)
				require.Len(t, all, o.struck[what])
				for _, l := range all {
					require.Contains(t, o.last, l.which)
				}
			}
		}
	}
	require.Len(t, consumers, 3)
}

// TestOperatorKeepsTheFirstAct: deleting an entry that was stranded before does not change why it is lost.
func TestOperatorKeepsTheFirstAct(t *testing.T) {
	k, ids := sixEntries(t)
	o := acted(t, k, actAcked, 1)
	first := maps.Clone(o.last)
	o.acts = []string{actTrimmed}
	for o.struck[actTrimmed] < 4 {
		require.NoError(t, o.one(context.Background()))
	}
	for which, a := range first {
		require.Equal(t, actAcked, a.what)
		require.Equal(t, a.what, o.last[which].what)
		require.True(t, o.gone["svc-input "+ids[which.stream]])
	}
}

func TestOperatorFindsNothingBeforeTheFirstConsumer(t *testing.T) {
	client := servers.New(t).Client(t)
	layout, err := cluster.NewLayout("svc", 2)
	require.NoError(t, err)
	k := &store{client: client, layout: layout, text: announcementText("s-")}
	for _, what := range acts {
		o := newOperator(k, nil, []string{what}, time.Second, rand.New(rand.NewPCG(1, 0)))
		require.NoError(t, o.one(context.Background()))
		require.Empty(t, o.struck)
		all, err := k.stranded(context.Background())
		require.NoError(t, err)
		require.Empty(t, all)
	}
}

// TestExcusesAreForWhatNobodyCanKnow and for nothing else.
func TestExcusesAreForWhatNobodyCanKnow(t *testing.T) {
	which := announcement{3, 1}
	a := act{which: which, what: actAcked, from: 10 * time.Second, until: 11 * time.Second, was: held, consumer: "pod-1.x7", token: 5}
	owned := func(token api.Token, from, until time.Duration) journal.Entry {
		e := journal.Entry{Number: which.stream, Work: which.work}
		e.Token, e.From, e.Until = token, from, until
		return e
	}
	mine := owned(5, 8*time.Second, 20*time.Second)
	for name, c := range map[string]struct {
		change func(*act, *place, *pod.Pod, *outages)
		owned  []journal.Entry
		want   string
	}{
		"held by a pod that is well":    {owned: []journal.Entry{mine}},
		"waiting":                       {change: func(a *act, _ *place, _ *pod.Pod, _ *outages) { a.was = waiting }, want: excuseWaiting},
		"read":                          {change: func(a *act, _ *place, _ *pod.Pod, _ *outages) { a.was, a.token = read, 0 }, want: excuseRead},
		"held by a pod that was killed": {change: func(_ *act, _ *place, x *pod.Pod, _ *outages) { x.Killed = true }, owned: []journal.Entry{mine}, want: excuseKilled},
		"held by nobody of ours":        {change: func(a *act, _ *place, _ *pod.Pod, _ *outages) { a.consumer = "pod-1.x.7" }, want: excuseKilled},
		"in trouble before": {change: func(_ *act, p *place, _ *pod.Pod, _ *outages) {
			p.troubled = []interval{{1 * time.Second, 9 * time.Second}}
		}, owned: []journal.Entry{mine}},
		"in trouble then": {change: func(_ *act, p *place, _ *pod.Pod, _ *outages) {
			p.troubled = []interval{{9 * time.Second, 12 * time.Second}}
		}, owned: []journal.Entry{mine}, want: excuseTrouble},
		"in trouble while it was held": {change: func(_ *act, p *place, _ *pod.Pod, _ *outages) {
			p.troubled = []interval{{19 * time.Second, 30 * time.Second}}
		}, owned: []journal.Entry{mine}, want: excuseTrouble},
		"in trouble long after it ended": {change: func(_ *act, p *place, _ *pod.Pod, _ *outages) {
			p.troubled = []interval{{29 * time.Second, 30 * time.Second}}
		}, owned: []journal.Entry{mine}},
		"the server away then": {change: func(_ *act, _ *place, _ *pod.Pod, o *outages) {
			o.troubled = []interval{{9 * time.Second, 12 * time.Second}}
		}, owned: []journal.Entry{mine}, want: excuseTrouble},
		"killed, and owned again by then": {change: func(_ *act, _ *place, x *pod.Pod, _ *outages) { x.Killed = true }, owned: []journal.Entry{mine, owned(6, 12*time.Second, 13*time.Second)}},
	} {
		t.Run(name, func(t *testing.T) {
			x := &pod.Pod{Journal: newJournal(t, "pod-1", 1)}
			p, out, changed := &place{all: []*pod.Pod{x}}, &outages{}, a
			if c.change != nil {
				c.change(&changed, p, x, out)
			}
			r := &round{options: Options{SessionTTL: 2 * time.Second}, places: []*place{p}, outages: out,
				operator: &operator{last: map[announcement]act{which: changed}, entries: map[string]act{"svc-input 1-1": changed}}}
			require.Equal(t, c.want, r.excuse(which, c.owned))
			owned := map[announcement][]journal.Entry{which: c.owned}
			require.Equal(t, c.want != "", r.excused(strandedEntry{"svc-input", "1-1", which}, owned))
			require.False(t, r.excused(strandedEntry{"svc-input", "1-2", which}, owned), "another entry of the same announcement")
			require.Empty(t, r.excuse(announcement{3, 2}, nil))
			r.outages = nil
			r.operator = nil
			require.Empty(t, r.excuse(which, c.owned))
		})
	}
}
