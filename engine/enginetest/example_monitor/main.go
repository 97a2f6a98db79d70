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
	specs := make([]schedule.Spec, len(urls))
	for i, url := range urls {
		specs[i] = schedule.Spec{Name: url, Every: time.Minute}
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

// failures are those of a URL in a row. They outlive the process.
type failures struct {
	Count int
	Since string // the first tick: what makes the keys of alerts
}

func (m monitor) open(o schedule.Owned) (schedule.Task, error) {
	var known failures
	err := json.Unmarshal([]byte(cmp.Or(string(o.State), "{}")), &known) // no state at first
	return schedule.TaskFunc(func(ctx context.Context, t *schedule.Tick) (err error) {
		now := failures{known.Count + 1, cmp.Or(known.Since, t.ID())}
		if m.up(t.Schedule) {
			now = failures{}
		}
		switch {
		case now.Count == 3:
			err = m.alert(ctx, "down since "+now.Since)
		case now.Count == 0 && known.Count >= 3:
			err = m.alert(ctx, "up again, was down since "+known.Since)
		}
		if err != nil {
			return err // nothing is kept, so the next tick does the same again, as it does if the process dies
		}
		known = now
		state, err := json.Marshal(known)
		t.Save(state)
		return err
	}), err
}

func up(url string) bool {
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Get(url)
	return err == nil && answer.Body.Close() == nil && answer.StatusCode < 400
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
