package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strconv"
	"time"
	_ "time/tzdata" // zones, whatever the machine has

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/scheduletest"
)

// A process that fires the ticks of the schedules that it owns until its context ends.
func Example() {
	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "monitors")
	if err != nil {
		log.Fatal(err)
	}
	r, err := schedule.New(e, func(schedule.Owned) (schedule.Task, error) {
		return schedule.TaskFunc(func(_ context.Context, t *schedule.Tick) error {
			log.Println(t.ID(), "late by", t.Late)
			return nil
		}), nil
	}, schedule.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// A deploy declares all schedules of a service. What is there already is left as it is.
func ExampleTable_Sync() {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	table, err := schedule.NewTable(client, "monitors")
	if err != nil {
		log.Fatal(err)
	}
	specs := []schedule.Spec{
		{Name: "front page", Every: 30 * time.Second},
		{Name: "report", Cron: "30 2 * * *", Zone: "Europe/Berlin"},
	}
	done, err := table.Sync(context.Background(), slices.Values(specs), schedule.Prune())
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("%+v", done)
}

// What does not tick, and why.
func ExampleTable_List() {
	var table *schedule.Table
	list := func(ctx context.Context) error {
		for s, err := range table.List(ctx, schedule.Filter{Failing: true}) {
			if err != nil {
				return err
			}
			fmt.Println(s.Spec.Name, s.Err, s.DeadLetter)
		}
		return nil
	}
	_ = list
}

// The nights around the beginning of summer time: half past two is left out once, and becomes the first instant after it.
func ExampleSpec_Next() {
	spec := schedule.Spec{Name: "report", Cron: "30 2 * * *", Zone: "America/New_York"}
	zone, err := time.LoadLocation(spec.Zone)
	if err != nil {
		log.Fatal(err)
	}
	times, err := spec.Next(time.Date(2026, 3, 7, 0, 0, 0, 0, zone), 3)
	if err != nil {
		log.Fatal(err)
	}
	for _, at := range times {
		fmt.Println(at.In(zone).Format("Mon 2 Jan 15:04 MST"))
	}
	// Output:
	// Sat 7 Mar 02:30 EST
	// Sun 8 Mar 03:00 EDT
	// Mon 9 Mar 02:30 EDT
}

// Intervals are points of a grid since 1970, here with an offset of their own; without one the name decides, which spreads them.
func ExampleSpec_Next_grid() {
	for _, offset := range []time.Duration{schedule.Aligned, 5 * time.Minute, 0} {
		spec := schedule.Spec{Name: "cleanup", Every: 6 * time.Hour, Offset: offset}
		times, err := spec.Next(time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC), 2)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(times[0].Format(time.TimeOnly), times[1].Sub(times[0]))
	}
	// Output:
	// 06:00:00 6h0m0s
	// 00:05:00 6h0m0s
	// 04:40:22 6h0m0s
}

// monitor counts failures in a row, whichever process handles the ticks.
type monitor struct {
	failures int
	up       func() bool
}

func (m *monitor) Tick(_ context.Context, t *schedule.Tick) error {
	if m.failures++; m.up() {
		m.failures = 0
	}
	if m.failures == 3 {
		fmt.Println("down for three ticks")
	}
	t.Save([]byte(strconv.Itoa(m.failures)))
	return nil
}

func (m *monitor) Stop(cause error) { fmt.Println("a deploy:", errors.Is(cause, api.ErrReleasing)) }

// A task with state that outlives its process: the third failure comes after a deploy, and the new owner knows of the two before.
func ExampleTask() {
	open := func(o schedule.Owned) (schedule.Task, error) {
		failures, _ := strconv.Atoi(string(o.State))
		return &monitor{failures: failures, up: func() bool { return false }}, nil
	}
	spec := schedule.Spec{Name: "front page", Every: time.Minute, Offset: schedule.Aligned, First: schedule.OnGrid}
	s, err := scheduletest.New(spec, open, time.Date(2026, 7, 1, 12, 0, 30, 0, time.UTC))
	if err != nil {
		log.Fatal(err)
	}
	s.Run(2 * time.Minute)
	s.HandBack()
	if err := s.Own(); err != nil {
		log.Fatal(err)
	}
	s.Run(time.Minute)
	fmt.Println(len(s.Fired()), string(s.State()))
	// Output:
	// a deploy: true
	// down for three ticks
	// 3 3
}

// watcher does what its spec says, and hears of edits.
type watcher struct{ threshold int }

func (w *watcher) Tick(context.Context, *schedule.Tick) error {
	fmt.Println("threshold", w.threshold)
	return nil
}

func (w *watcher) Changed(spec *schedule.Spec) {
	if threshold, err := schedule.DecodeInfo[int](spec); err == nil {
		w.threshold = threshold
	}
}

// An edit reaches the task that is there; it is not opened again.
func ExampleChanger() {
	open := func(o schedule.Owned) (schedule.Task, error) {
		threshold, err := schedule.DecodeInfo[int](o.Spec)
		return &watcher{threshold}, err
	}
	spec := schedule.Spec{Name: "queue", Every: time.Minute, First: schedule.OnGrid, Info: 10}
	s, err := scheduletest.New(spec, open, time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		log.Fatal(err)
	}
	s.Run(time.Minute)
	spec.Info = 20
	if err := s.Put(spec); err != nil {
		log.Fatal(err)
	}
	s.Run(time.Minute)
	// Output:
	// threshold 10
	// threshold 20
}

// A tick that comes again has the same ID: as the key of what is written, it has a repeat change nothing.
func ExampleTick_ID() {
	reports := map[string]bool{}
	task := schedule.TaskFunc(func(_ context.Context, t *schedule.Tick) error {
		fmt.Println(t.ID(), "is there already:", reports[t.ID()])
		reports[t.ID()] = true
		return nil
	})
	spec := &schedule.Spec{Name: "nightly", Cron: "30 2 * * *"}
	for range 2 { // as after a crash
		t, _ := schedule.NewTick(leasetest.New("nightly"), spec, time.Date(2026, 7, 1, 2, 30, 0, 0, time.UTC))
		if err := task.Tick(context.Background(), t); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// nightly@1782873000000 is there already: false
	// nightly@1782873000000 is there already: true
}

// A job for each tick, in a service of its own, that is named as the tick is.
func ExampleTick_ID_job() {
	var jobs *engine.Publisher
	open := func(schedule.Owned) (schedule.Task, error) {
		return schedule.TaskFunc(func(ctx context.Context, t *schedule.Tick) error {
			_, err := jobs.Publish(ctx, t.ID(), t.Spec.Info, engine.OnlyIfUnowned())
			return err
		}), nil
	}
	_ = open
}

// What a form shows of a mistake; all match ErrSpec.
func ExampleErrSpec() {
	for _, spec := range []schedule.Spec{
		{Name: "never", Cron: "0 0 30 2 *"},
		{Name: "seconds", Cron: "*/10 * * * * *"},
		{Name: "both", Cron: "@daily", Every: time.Hour},
	} {
		_, err := spec.Next(time.Now(), 1)
		fmt.Println(err)
	}
	// Output:
	// schedule: invalid spec: cron expression "0 0 30 2 *" never fires: none of its months has such a day; change its day of month or its month
	// schedule: invalid spec: cron expression "*/10 * * * * *" has 6 fields; write five: minute, hour, day of month, month, day of week; for seconds, use Every
	// schedule: invalid spec: it has Every 1h0m0s and Cron "@daily"; set one of them
}

// Info is what the task needs to know; it comes back as JSON.
func ExampleDecodeInfo() {
	type check struct{ URL string }
	spec := schedule.Spec{Name: "front page", Every: time.Minute, Info: check{"https://example.org/"}}
	open := func(o schedule.Owned) (schedule.Task, error) {
		c, err := schedule.DecodeInfo[check](o.Spec)
		fmt.Println(c.URL)
		return schedule.TaskFunc(func(context.Context, *schedule.Tick) error { return nil }), err
	}
	if _, err := scheduletest.New(spec, open, time.Now()); err != nil {
		log.Fatal(err)
	}
	// Output: https://example.org/
}
