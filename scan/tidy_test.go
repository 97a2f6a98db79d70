package scan

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ago is a time by the server's clock, as it is in the checkpoint of a stream that was done then.
func (h *harness) ago(d time.Duration) string {
	return strconv.FormatInt(h.Now()-d.Milliseconds(), 10)
}

func (h *harness) tidy(consumer string) int {
	h.t.Helper()
	deleted, err := h.store.Tidy(h.ctx, 0, consumer)
	require.NoError(h.t, err)
	return deleted
}

func (h *harness) fields() []string {
	h.t.Helper()
	names, err := h.Try("HKEYS", h.keys.Checkpoints).AsStrSlice()
	require.NoError(h.t, err)
	return names
}

// What was done long ago goes, and the numbers of sessions that are gone. Nothing else ever ages, not even what this version does not
// know.
func TestOldCheckpointsOfDoneStreamsAreDeleted(t *testing.T) {
	h := newHarness(t)
	require.Zero(t, h.tidy(ann), "there are none")
	week := h.set.CheckpointTTL
	require.Equal(t, 7*24*time.Hour, week)
	old, fresh := h.ago(week+time.Minute), h.ago(week-time.Minute)
	fill := func() {
		h.Do("HSET", h.keys.Checkpoints, "sheld", "7 v d"+old, "sreleased", "7 r x", "sold", "7 d"+old+" x", "s", "7 d"+old+" ",
			"sfresh", "7 d"+fresh+" x", "sahead", "7 d"+h.ago(-week)+" x", "snew", "7 new"+old+" x", "snone", "x",
			"!"+ann, "7", "!"+dead, "7")
	}
	fill()
	kept := []string{"sheld", "sreleased", "sfresh", "sahead", "snew", "snone", "!" + ann}
	require.Equal(t, 2, h.tidy(ann))
	require.ElementsMatch(t, kept, h.fields())
	require.Zero(t, h.tidy(ann))

	fill()
	h.set.CheckpointTTL = NoLimit
	h.stores()
	require.Zero(t, h.tidy(ann))
	require.ElementsMatch(t, append(kept, "sold", "s"), h.fields())
}

// Trace: a failover has forgotten that a stream was acquired, so its checkpoint looks old; and that a consumer has a session.
func TestNothingIsDeletedWhileAPartitionSettles(t *testing.T) {
	h := newHarness(t)
	h.Do("HSET", h.keys.Checkpoints, "sold", "7 d1 x", "!"+dead, "7")
	require.Zero(t, h.tidy(dead), "somebody without a session deletes nothing")
	runs, err := h.Try("ZRANGEBYSCORE", h.keys.Sessions, "-inf", "(0").AsStrSlice()
	require.NoError(t, err)
	for _, m := range runs {
		if len(m) > 5 && m[:5] == "!run:" {
			h.Do("ZADD", h.keys.Sessions, "-"+h.ago(0), m)
		}
	}
	require.Zero(t, h.tidy(ann))
	require.Len(t, h.fields(), 2)
}

// 100,000 checkpoints are gone through in pages that each block the server for a moment only, over many turns, and others may come
// and go meanwhile.
func TestHundredThousandCheckpointsAreGoneThroughInPages(t *testing.T) {
	h := newHarness(t)
	const n = 100_000
	for from := 0; from < n; from += 5000 {
		args := []string{"HSET", h.keys.Checkpoints}
		for i := from; i < from+5000; i++ {
			tag := "v"
			if i%2 == 0 {
				tag = "d1"
			}
			args = append(args, fmt.Sprintf("sstream-%06d", i), "7 "+tag+" x")
		}
		h.Do(args...)
	}
	deleted, turns := 0, 0
	for deleted < n/2 {
		turns++
		got := h.tidy(ann)
		require.LessOrEqual(t, got, tidyPages*tidyPage*2)
		deleted += got
		require.Less(t, turns, n/tidyPage)
		h.Do("HSET", h.keys.Checkpoints, fmt.Sprintf("sanother-%d", turns), "7 v x")
	}
	require.Greater(t, turns, n/tidyPage/tidyPages/2)
	require.Equal(t, n/2+turns, h.Num("HLEN", h.keys.Checkpoints))
	stats, err := h.server.CommandStats(h.ctx)
	require.NoError(t, err)
	require.Greater(t, stats["hscan"].Calls, int64(n/tidyPage/2))
}

// Trace: the owner of a stream is killed. Its checkpoint stays as it last stored it; the number of its session goes with the session.
func TestRecoveryKeepsTheCheckpoint(t *testing.T) {
	h := newHarness(t).withDead()
	h.owned(dead, "s")
	h.Do("HSET", h.keys.Checkpoints, "ss", "7 v 1", "!"+dead, "9")
	h.kill(dead, time.Minute)
	require.True(t, h.recover(ann).Removed)
	require.Equal(t, []string{"ss"}, h.fields())
	require.Equal(t, "7 v 1", h.Text("HGET", h.keys.Checkpoints, "ss"))
}
