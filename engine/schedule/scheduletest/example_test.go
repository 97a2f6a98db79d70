package scheduletest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/scheduletest"
)

// A report each night, which fails in the first one, and which the fleet misses in the third.
func Example() {
	report := func(_ context.Context, t *schedule.Tick) error {
		if t.At.Day() == 1 {
			return errors.New("no data")
		}
		return nil
	}
	open := func(schedule.Owned) (schedule.Task, error) { return schedule.TaskFunc(report), nil }
	spec := schedule.Spec{Name: "nightly", Cron: "0 3 * * *"}
	s, err := scheduletest.New(spec, open, time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	s.Run(48 * time.Hour)
	s.Kill()
	s.Run(12 * time.Hour)
	if err := s.Own(); err != nil {
		panic(err)
	}
	s.Run(24 * time.Hour)
	for _, f := range s.Fired() {
		fmt.Println(f.At.Format(time.DateTime), f.Began.Sub(f.At) > time.Hour, f.Err)
	}
	// Output:
	// 2026-07-01 03:00:00 false no data
	// 2026-07-02 03:00:00 false <nil>
	// 2026-07-03 03:00:00 true <nil>
	// 2026-07-04 03:00:00 false <nil>
}

// A task that counts, with a state that outlives its process.
func ExampleSchedule_HandBack() {
	open := func(o schedule.Owned) (schedule.Task, error) {
		n, _ := strconv.Atoi(string(o.State))
		return schedule.TaskFunc(func(_ context.Context, t *schedule.Tick) error {
			n++
			t.Save([]byte(strconv.Itoa(n)))
			return nil
		}), nil
	}
	s, err := scheduletest.New(schedule.Spec{Name: "counter", Every: time.Minute}, open, time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		panic(err)
	}
	for range 3 { // deploys
		s.Run(time.Hour)
		s.HandBack()
		if err := s.Own(); err != nil {
			panic(err)
		}
	}
	fmt.Println(len(s.Fired()), string(s.State()))
	// Output: 181 181
}
