package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
)

type monitor struct {
	up    func(url string) bool
	alert func(ctx context.Context, key string) error // may come again, with the same key: whoever gets it drops it by that
}

// run checks the URLs, and no others, until ctx ends.
func (m monitor) run(ctx context.Context, redis rueidis.ClientOption, urls ...string) error {
	client, err := rueidis.NewClient(redis)
	if err != nil {
		return err
	}
	defer client.Close()
	table, err := schedule.NewTable(client, "monitors")
	if err != nil {
		return err
	}
	var specs []schedule.Spec
	for _, url := range urls {
		specs = append(specs, schedule.Spec{Name: url, Every: time.Minute})
	}
	if _, err := table.Sync(ctx, slices.Values(specs), schedule.Prune()); err != nil { // writes only what has changed
		return err
	}
	e, err := engine.Open(redis, "monitors")
	if err != nil {
		return err
	}
	r, err := schedule.New(e, m.open, schedule.Config{})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// site is the task of a schedule. What it knows of its URL outlives the process.
type site struct {
	monitor
	Failures int    // in a row
	Since    string // the first tick of the last ones: part of the alerts' keys
}

func (m monitor) open(o schedule.Owned) (schedule.Task, error) {
	s := &site{monitor: m}
	return s, json.Unmarshal([]byte(cmp.Or(string(o.State), "{}")), s) // no state at first
}

// Tick keeps nothing until the alert is out: if that fails, or the process dies, the next tick does the same again.
func (s *site) Tick(ctx context.Context, t *schedule.Tick) error {
	next := *s
	if s.up(t.Schedule) {
		next.Failures = 0
	} else if next.Failures++; next.Failures == 1 {
		next.Since = t.ID()
	}
	var err error
	switch {
	case next.Failures == 3:
		err = s.alert(ctx, "down since "+next.Since)
	case next.Failures == 0 && s.Failures >= 3:
		err = s.alert(ctx, "up again, was down since "+next.Since)
	}
	if err != nil {
		return err
	}
	*s = next
	state, err := json.Marshal(s)
	t.Save(state)
	return err
}

func up(url string) bool {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode < 400
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	redis := rueidis.ClientOption{InitAddress: []string{cmp.Or(os.Getenv("REDIS_ADDR"), "127.0.0.1:6379")}}
	m := monitor{up, func(_ context.Context, key string) error { log.Print(key); return nil }}
	if err := m.run(ctx, redis, os.Args[1:]...); err != nil {
		log.Fatal(err)
	}
}
