package console

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

// commandCounts returns how often each command was called from outside scripts or inside them.
func (h *harness) commandCounts() map[string]int {
	h.t.Helper()
	counts := make(map[string]int)
	for _, m := range regexp.MustCompile(`cmdstat_(\S+?):calls=(\d+)`).FindAllStringSubmatch(h.Text("INFO", "commandstats"), -1) {
		counts[m[1]], _ = strconv.Atoi(m[2])
	}
	return counts
}

// What a sample asks Redis for, exactly, whatever the number of streams: a script for the record of the service, two for the wishes, and
// for each partition four scripts.
func TestASampleIsSoManyCommands(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 16} {
		h := newHarness(t, partitions)
		for n := range 20 {
			h.own("orders-" + strconv.Itoa(n))
		}
		source := &source{client: h.Client, service: "shop", set: scan.InspectorConfig{}}
		require.NoError(t, source.read(t.Context()).Err) // scripts are loaded
		h.Do("CONFIG", "RESETSTAT")
		found := source.read(t.Context())
		require.NoError(t, found.Err)
		require.Len(t, found.Backlog, partitions)
		require.Equal(t, 1, found.Alive())
		counts := h.commandCounts()
		require.Equal(t, 4*partitions+3, counts["evalsha"])
		require.Zero(t, counts["eval"])
		require.Zero(t, counts["xrange"]-partitions, "the first that waits; nothing is counted")
		require.Equal(t, 4*partitions, counts["zrangebyscore"], "those in scripts included")
	}
}
