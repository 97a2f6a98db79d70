package rights

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/engine/schedule"
)

// schedule does all that a table does.
func (h *harness) schedule(ctx context.Context, opt rueidis.ClientOption) {
	h.T.Helper()
	table, err := schedule.NewTable(h.connect(opt), service, engine.WithPartitions(partitions))
	require.NoError(h.T, err)
	var names []string
	var specs []schedule.Spec
	for n := range 10 {
		names = append(names, fmt.Sprint("schedule-", n))
		specs = append(specs, schedule.Spec{Name: names[n], Every: time.Minute})
	}
	for range 2 {
		_, err = table.Put(ctx, specs...)
		require.NoError(h.T, err)
		specs[0].Every = time.Hour
	}
	_, err = table.Sync(ctx, func(yield func(schedule.Spec) bool) { yield(specs[0]) }, schedule.Prune())
	require.NoError(h.T, err)
	require.NoError(h.T, table.Pause(ctx, "", names[0]))
	require.NoError(h.T, table.Resume(ctx, names[0]))
	require.NoError(h.T, table.Trigger(ctx, names[0]))
	_, err = table.Get(ctx, names[0])
	require.NoError(h.T, err)
	for _, err := range table.List(ctx, schedule.Filter{}) {
		require.NoError(h.T, err)
	}
	_, err = table.Delete(ctx, names, schedule.Wait())
	require.NoError(h.T, err)
}

// A user with the documented rights of a table can do all that a table does, and uses no command on any key that is not listed. With one right
// less, the error names it, and what to grant.
func TestDocumentedRightsAreEnoughForATable(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		rules := preflight.TableRules(service, partitions)
		opt := h.user("scheduler", rules...)
		opt.DisableCache = true
		seen, stop := h.watch()
		h.schedule(ctx, opt)
		stop()
		h.allListed(seen, 10)

		spec := schedule.Spec{Name: "a", Every: time.Minute}
		for _, missing := range []string{"+hset", "+hget", "+xadd"} {
			var less []string
			for _, r := range rules {
				if r != missing {
					less = append(less, r)
				}
			}
			table, err := schedule.NewTable(h.connect(h.user("scheduler", less...)), service, engine.WithPartitions(partitions))
			require.NoError(t, err)
			_, err = table.Put(ctx, spec)
			require.ErrorIs(t, err, api.ErrMissingRights)
			require.ErrorContains(t, err, missing)
			require.Zero(t, h.Num("EXISTS", h.layout.Keys(h.layout.Of("a")).Schedules), "nothing is done by halves")
		}
	})
}

// What an engine with schedules lacks, its preflight says; one without schedules does not need it.
func TestPreflightOfSchedules(t *testing.T) {
	each(t, func(t *testing.T, h *harness) {
		all := append(enough(), toAsk...)
		client := h.connect(h.user("chat", all...))
		report, err := schedule.Preflight(t.Context(), client, service, engine.WithPartitions(partitions))
		require.NoError(t, err)
		require.NoError(t, report.Err())
		h.user("chat", append(all, "-hget", "-hscan")...)
		report, err = schedule.Preflight(t.Context(), client, service, engine.WithPartitions(partitions))
		require.NoError(t, err)
		require.ErrorContains(t, report.Err(), "without which no schedule ticks")
		require.ErrorContains(t, report.Err(), "+hscan")
		report, err = engine.Preflight(t.Context(), client, service, engine.WithPartitions(partitions))
		require.NoError(t, err)
		require.NoError(t, report.Err())
	})
}
