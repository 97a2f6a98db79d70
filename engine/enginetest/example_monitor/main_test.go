package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine/enginetest"
	"github.com/streamlease/streamlease/engine/schedule"
)

func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const page, shop = "https://example.org/", "https://example.org/shop"
		var broken atomic.Bool // the page
		checks, alerts := make(chan time.Time, 100), make(chan string, 100)
		m := monitor{func(url string) bool {
			if url == shop {
				checks <- time.Now()
			}
			return url == shop || !broken.Load()
		}, func(_ context.Context, key string) error { alerts <- key; return nil }}
		stuck := monitor{m.up, func(ctx context.Context, key string) error { alerts <- key; <-ctx.Done(); return ctx.Err() }}

		fleet := enginetest.New(t, "monitors")
		start := func(name string, m monitor, urls ...string) *enginetest.Process {
			return fleet.Go(name, func(ctx context.Context, redis rueidis.ClientOption) error { return m.run(ctx, redis, urls...) })
		}
		stored := func(failures string) {
			fleet.Eventually(failures+" failures", func() bool {
				s, err := fleet.Table().Get(t.Context(), page)
				return err == nil && strings.Contains(string(s.State), `"Failures":`+failures+",")
			})
		}

		broken.Store(true)
		a := start("a", m, page, shop)
		stored("2")
		a.Kill() // before the third failure
		b := start("b", stuck, page, shop)
		down := <-alerts
		b.Kill() // after the alert, before that is stored
		c := start("c", m, page, shop)
		if again := <-alerts; again != down {
			t.Errorf("%q came again as %q", down, again)
		}
		stored("5")
		broken.Store(false)
		stored("0")

		d := start("d", m, page, shop)
		if err := c.Drain(); err != nil { // a deploy
			t.Error(err)
		}
		fleet.Advance(2 * time.Minute)
		start("e", m, page) // one that removes the shop
		fleet.Advance(2 * time.Second)
		times, err := (&schedule.Spec{Name: shop, Every: time.Minute}).Next(<-checks, len(checks))
		if err := d.Drain(); err != nil {
			t.Error(err)
		}
		broken.Store(true)
		stored("2") // the page goes on
		for _, due := range times {
			if late := (<-checks).Sub(due); late < 0 || late > 100*time.Millisecond {
				t.Errorf("the tick of %v came %v late", due, late)
			}
		}
		if err != nil || len(times) < 5 || len(checks) > 0 {
			t.Errorf("%d ticks, and %d after the shop was removed; %v", len(times), len(checks), err)
		}
		if len(alerts) != 1 || <-alerts != "up again, was "+down {
			t.Error("not one alert that the page is up again")
		}
	})
}
