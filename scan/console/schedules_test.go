package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeSchedules has two schedules on a page.
type fakeSchedules []Schedule

func (f fakeSchedules) Page(_ context.Context, cursor string, _ int) ([]Schedule, string, error) {
	from, _ := strconv.Atoi(cursor)
	if from+2 < len(f) {
		return f[from : from+2], strconv.Itoa(from + 2), nil
	}
	return f[min(from, len(f)):], "", nil
}

func (f fakeSchedules) Get(_ context.Context, name string) (Schedule, error) {
	for _, s := range f {
		if s.Name == name {
			return s, nil
		}
	}
	return Schedule{}, errors.Join(ErrNoSchedule)
}

func TestSchedulesAreShownPageByPage(t *testing.T) {
	t.Parallel()
	c := newHarness(t, 1).console(WithSchedules(fakeSchedules{
		{Name: "hourly", When: "every 1h0m0s", Next: time.Now().Add(time.Minute), Owner: worker},
		{Name: "held", Paused: true, Note: "invoices are wrong"},
		{Name: "broken", Err: "its row cannot be read", Missed: 7},
	}))
	a := get(t, c, "/schedules")
	require.Contains(t, a.text, "ticking")
	require.Contains(t, a.text, "invoices are wrong")
	require.NotContains(t, a.text, "broken")
	require.Contains(t, a.text, `href="schedules?cursor=2"`)
	a = get(t, c, "/schedules?cursor=2")
	require.Contains(t, a.text, "cannot tick")
	require.Contains(t, get(t, c, "/schedule?name=broken").text, "its row cannot be read")
	a = get(t, c, "/schedule?name=none")
	require.Equal(t, http.StatusNotFound, a.status)
	require.Contains(t, a.text, "There is no schedule called")
}

// Without the option the page has their number, and says which option shows them.
func TestSchedulesAreCountedWithoutTheOption(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	h.Do("HSET", h.layout.Keys(0).Schedules, "a", "row", "b", "row")
	h.Do("HSET", h.layout.Keys(1).Schedules, "c", "row")
	text := get(t, h.console(), "/schedules").text
	require.Contains(t, text, "3 schedules")
	require.Contains(t, text, "console.WithSchedules(scheduleview.New(table))")
}
