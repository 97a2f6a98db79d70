package main

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/redis/rueidis"
	"github.com/streamlease/streamlease/engine/enginetest"
)

func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, alerts := new(atomic.Bool), make(chan string, 100)
		m := monitor{func(string) bool { return !broken.Load() }, func(_ context.Context, key string) error { alerts <- key; return nil }}
		stuck := monitor{m.up, func(ctx context.Context, key string) error { alerts <- key; <-ctx.Done(); return ctx.Err() }}
		fleet := enginetest.New(t, "monitors")
		start := func(name string, m monitor, urls ...string) *enginetest.Process {
			return fleet.Go(name, func(ctx context.Context, redis rueidis.ClientOption) error { return m.run(ctx, redis, urls...) })
		}
		stored := func(url, state string) {
			fleet.Eventually(state, func() bool {
				s, err := fleet.Table().Get(t.Context(), url)
				return strings.HasPrefix(string(s.State), state) && (err != nil) == (state == "")
			})
		}
		broken.Store(true)
		a := start("a", m, "page", "shop")
		stored("shop", `{"Count":1,`)
		stored("page", `{"Count":2,`)
		a.Kill() // before the third failure
		b := start("b", stuck, "page")
		down := <-alerts
		b.Kill() // after the alert, before that is stored
		c := start("c", m, "page")
		again := <-alerts
		stored("page", `{"Count":5,`)
		start("d", m, "page")
		if err := c.Drain(); err != nil { // a deploy, of which nobody hears
			t.Error(err)
		}
		broken.Store(false)
		stored("page", `{"Count":0,`)
		if again != down || len(alerts) != 1 || <-alerts != "up again, was "+down {
			t.Errorf("%q came again as %q, or it was not said once that the page is up again", down, again)
		}
		stored("shop", "") // it was removed
	})
}
