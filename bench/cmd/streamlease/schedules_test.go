package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

func TestSchedules(t *testing.T) {
	f := newFleet(t)
	f.publish("a")
	require.Equal(t, "No schedules.\n", f.table("schedules", "list"))
	require.Empty(t, decoded[[]scheduled](f, statusDone, "schedules", "list"))

	table, err := schedule.NewTable(f.Client, shopName, engine.WithPartitions(shopPartition))
	require.NoError(t, err)
	specs := []schedule.Spec{
		{Name: "site-2", Every: 90 * time.Minute, Info: map[string]string{"url": "x\u202e"}},
		{Name: "site-1", Cron: "0 3 * * *", Zone: "Europe/Berlin"},
		{Name: "evil\x1b[2J\nx", Every: time.Hour},
		{Name: "help", Every: time.Hour},
		{Name: "over", Every: time.Hour, End: time.UnixMilli(1)},
		{Name: strings.Repeat("w", 5000), Every: time.Hour},
	}
	results, err := table.Put(t.Context(), specs...)
	require.NoError(t, err)
	for _, r := range results {
		require.NoError(t, r.Err)
	}
	require.NoError(t, table.Pause(t.Context(), "too noisy", "site-2"))

	all := decoded[[]scheduled](f, statusDone, "schedules", "list")
	require.Len(t, all, len(specs))
	require.Equal(t, []string{"evil\x1b[2J\nx", "help", "over", "site-1", "site-2"}, []string{all[0].Stream, all[1].Stream, all[2].Stream, all[3].Stream, all[4].Stream})
	require.Equal(t, []string{"unowned", "ended", "paused"}, []string{all[1].State, all[2].State, all[4].State})
	require.InDelta(t, 5400, all[4].Every, 0)
	require.JSONEq(t, `{"url":"x\u202e"}`, string(all[4].Info))
	require.Len(t, all[3].Following, 3)

	text := f.table("schedules", "list")
	require.Contains(t, row(t, text, "site-1"), "site-1 0 3 * * * Europe/Berlin unowned - in ")
	require.Contains(t, row(t, text, "help"), "help every 1 h unowned ")
	require.Contains(t, row(t, text, "site-2"), "site-2 every 1 h 30 m paused - - 0 0 -")
	require.Contains(t, text, `"evil\x1b[2J\nx"`)
	require.Contains(t, text, "w…w", "cut")
	require.Contains(t, text, "6 schedules")
	require.Contains(t, f.table("schedules", "list", "-limit", "2"), "2 schedules shown; there are more (-limit)")
	require.Len(t, decoded[[]scheduled](f, statusDone, "schedules", "list", "-paused"), 1)
	require.Len(t, decoded[[]scheduled](f, statusDone, "schedules", "list", "-unowned", "-limit", "0"), 6)
	require.Len(t, decoded[[]scheduled](f, statusDone, "schedules", "list", "-prefix", "site"), 2)

	text = f.table("schedules", "list", "site-2", "help")
	require.Contains(t, row(t, text, "note"), "too noisy")
	require.Contains(t, text, `{"url":"x\u202e"}`)
	require.Contains(t, text, "schedule      help\n")
	one := decoded[[]scheduled](f, statusNothing, "schedules", "list", "nope\x1b[2J", "site-1", "--", "-x")
	require.Len(t, one, 1)
	require.Equal(t, "0 3 * * *", one[0].Cron)
}

func TestWhatIsWrongWithASchedule(t *testing.T) {
	now := time.Now()
	s := schedule.Status{Spec: schedule.Spec{Name: "x", Every: time.Hour}, Next: now.Add(-time.Minute), Owner: "a.X", Missed: 3, Number: 7}
	require.Equal(t, "ticks", scheduleState(&s))
	require.Equal(t, toned{warn, "overdue 1 m 0 s"}, nextTick(&s, now))
	s.DeadLetter = true
	require.Equal(t, "dead letter", scheduleState(&s))
	require.Contains(t, flat(scheduleFields(&s, now)), "send it back")
	s.Err = errors.New("no zone\x1b")
	require.Equal(t, "broken", scheduleState(&s))
	require.Equal(t, "no zone\x1b", scheduledOf(&s).Error)
	require.Contains(t, flat(scheduleFields(&s, now)), "no zone")
}

// flat is what fields say.
func flat(f fields) string {
	p := &printer{env: testEnv("")}
	var b strings.Builder
	p.out = &b
	_ = p.labelled(nil, f)
	return b.String()
}
