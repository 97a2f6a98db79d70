package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

func TestSchedulesAreChanged(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	table, err := schedule.NewTable(s.Client, "shop", engine.WithPartitions(2))
	require.NoError(t, err)
	var specs []schedule.Spec
	for _, name := range []string{"shop/a", "shop/b", "shop/c", "site/a", "site/b", hostile} {
		specs = append(specs, schedule.Spec{Name: name, Every: time.Hour})
	}
	_, err = table.Put(t.Context(), specs...)
	require.NoError(t, err)
	some := func(holds func(schedule.Status) bool) (names []string) {
		t.Helper()
		for x, err := range table.List(t.Context(), schedule.Filter{}) {
			require.NoError(t, err)
			if holds(x) {
				names = append(names, x.Spec.Name)
			}
		}
		slices.Sort(names)
		return names
	}
	paused := func(x schedule.Status) bool { return x.Paused }
	there := func(schedule.Status) bool { return true }

	s.refuses("schedules", "pause", "-all")
	s.refuses("schedules", "resume", "-prefix", "shop/")
	s.refuses("schedules", "trigger", "-prefix", "shop/a")
	s.refuses("schedules", "delete", "shop/a", "shop/b")
	s.refuses("schedules", "delete", hostile)

	a := s.do(statusDone, "schedules", "pause", "site/a", hostile, "-reason", "the site moves")
	require.Contains(t, a.out, "2 schedules were paused.")
	require.Equal(t, []string{hostile, "site/a"}, some(paused))
	x, err := table.Get(t.Context(), "site/a")
	require.NoError(t, err)
	require.Regexp(t, "@.*: the site moves$", x.Note)
	s.do(statusDone, "schedules", "resume", hostile)
	object := s.json(statusDone, "schedules", "pause", "-prefix", "shop/", "-yes")
	require.Equal(t, []any{3., 3.}, []any{object["matched"], object["changed"]})
	require.Equal(t, []string{"shop/a", "shop/b", "shop/c", "site/a"}, some(paused))
	s.types(statusDone, "shop", "schedules", "resume", "-all")
	require.Empty(t, some(paused))

	s.do(statusDone, "schedules", "trigger", "shop/b")
	require.Equal(t, []string{"shop/b"}, some(func(x schedule.Status) bool { return x.Triggered }))

	// Some of what is named is there.
	a = s.do(statusNothing, "schedules", "pause", "shop/a", "gone", "shop/a")
	require.Contains(t, a.out, "1 schedule was paused.")
	require.Contains(t, a.errs, "1 name is of no schedule, as gone")
	object = s.json(statusNothing, "schedules", "delete", "gone")
	require.Equal(t, []string{"gone"}, names(object, "missing"))

	s.types(statusDone, "y", "schedules", "delete", hostile, "-wait")
	object = s.json(statusDone, "schedules", "delete", "-prefix", "site/", "-yes")
	require.EqualValues(t, 2, object["changed"])
	require.Equal(t, []string{"shop/a", "shop/b", "shop/c"}, some(there))
	require.Contains(t, s.do(statusNothing, "schedules", "delete", "-prefix", "site/", "-yes").errs, "no schedule is selected")
	s.do(statusDone, "schedules", "delete", "-all", "-yes")
	require.Empty(t, some(there))
}

func TestSchedulesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before := s.dump()
	for _, what := range []string{"pause", "resume", "trigger", "delete"} {
		s.usage("no schedule is named", "schedules", what)
		s.usage("use only one of", "schedules", what, "a", "-all")
		s.usage("use only one of", "schedules", what, "-prefix", "a", "-all")
		s.usage("-prefix is empty", "schedules", what, "-prefix", "")
		s.usage("a name is empty", "schedules", what, "")
	}
	s.usage("make it shorter", "schedules", "pause", "a", "-reason", string(make([]byte, schedule.MaxNote)))
	s.usage("do you mean", "schedules", "delet", "a")
	require.Equal(t, before, s.dump())
}
