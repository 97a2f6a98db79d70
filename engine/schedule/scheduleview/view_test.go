package scheduleview

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/scan/console"
	"github.com/streamlease/streamlease/test/servers"
)

func TestSchedulesOfATableAreShown(t *testing.T) {
	client := servers.New(t).Client(t)
	table, err := schedule.NewTable(client, "shop", engine.WithLogger(slog.New(slog.DiscardHandler)))
	require.NoError(t, err)
	_, err = table.Put(t.Context(),
		schedule.Spec{Name: "hourly", Every: time.Hour},
		schedule.Spec{Name: "nightly", Cron: "0 3 * * *", Zone: "UTC"},
		schedule.Spec{Name: "daily", Cron: "@daily"})
	require.NoError(t, err)
	require.NoError(t, table.Pause(t.Context(), "invoices are wrong", "hourly"))
	shown := New(table)

	one, err := shown.Get(t.Context(), "hourly")
	require.NoError(t, err)
	require.Equal(t, console.Schedule{Name: "hourly", When: "every 1h0m0s", Paused: true, Note: "invoices are wrong"}, one)
	_, err = shown.Get(t.Context(), "none")
	require.ErrorIs(t, err, console.ErrNoSchedule)

	when := make(map[string]string)
	for cursor := ""; ; {
		page, next, err := shown.Page(t.Context(), cursor, 0)
		require.NoError(t, err)
		for _, s := range page {
			when[s.Name] = s.When
			require.Equal(t, s.Name == "hourly", s.Next.IsZero())
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	require.Equal(t, map[string]string{"hourly": "every 1h0m0s", "nightly": "0 3 * * * UTC", "daily": "@daily UTC"}, when)
}
