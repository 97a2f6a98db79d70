package enginetest

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/scan"
)

// operate does what an operator does, who looks and acts.
func (h *history) operate() {
	i, name, consumer := h.fleet.inspector, h.name(), string(rune('a'+h.n(6)))
	s := []scan.Selection{{}, {Stream: name}, {Reason: "failures"}}[h.n(3)]
	all := []func(ctx context.Context){
		func(ctx context.Context) { _, _ = i.SendBack(ctx, s) },
		func(ctx context.Context) { _, _ = i.SendBack(ctx, s) },
		func(ctx context.Context) { _, _ = i.Drop(ctx, s) },
		func(ctx context.Context) { _, _, _ = i.BringForward(ctx, s) },
		func(ctx context.Context) { _, _, _ = i.CancelDelayed(ctx, s) },
		func(ctx context.Context) { _, _ = i.Reannounce(ctx, s) },
		func(ctx context.Context) { h.wish(ctx, consumer) },
		func(ctx context.Context) { h.wish(ctx, consumer) },
		func(ctx context.Context) { _ = i.Withdraw(ctx, scan.WishDrain, consumer) },
		func(ctx context.Context) { drain(i.Letters(ctx, s)); _, _ = i.CountLetters(ctx, s) },
		func(ctx context.Context) { drain(i.Delayed(ctx, s)); drain(i.Stranded(ctx, s)) },
		func(ctx context.Context) { _, _ = i.Backlog(ctx); _, _ = i.Balance(ctx) },
		func(ctx context.Context) {
			found, _ := i.Consumers(ctx)
			for _, c := range found {
				drain(i.Holdings(ctx, c.Name))
			}
		},
		func(ctx context.Context) { _, _ = i.Story(ctx, name); _, _ = i.Owner(ctx, name) },
		func(ctx context.Context) { _, _ = i.Turnover(ctx, time.Hour) },
		func(ctx context.Context) { _, _ = i.Settling(ctx); _, _ = i.Wishes(ctx); _, _ = i.Partitions(ctx) },
		func(ctx context.Context) { _ = i.Signal(ctx, name, []byte("look")) },
	}
	kind := h.n(len(all))
	h.note("kind %d", kind)
	h.call(all[kind])
}

func (h *history) wish(ctx context.Context, consumer string) {
	w := scan.Wish{Kind: []scan.WishKind{scan.WishPause, scan.WishDrain, scan.WishWeight, scan.WishFreeze}[h.n(4)], Consumer: consumer,
		For: time.Second + h.upTo(10*time.Minute), Reason: "test"}
	switch w.Kind {
	case scan.WishWeight:
		w.Weight = 2.5
	case scan.WishFreeze:
		w.Consumer = ""
	}
	_ = h.fleet.inspector.Ask(ctx, w)
}

func drain[T any](all iter.Seq2[T, error]) {
	for _, err := range all {
		if err != nil {
			return
		}
	}
}

// input returns the key of the input stream of a random partition.
func (h *history) input() string {
	l := h.fleet.ledger.layout
	return l.Keys(h.n(l.Partitions())).Input
}

func (h *history) raw(ctx context.Context, args ...string) rueidis.RedisResult {
	c := h.fleet.client
	return c.Do(ctx, c.B().Arbitrary(args...).Build())
}

// malformed writes what a broken producer writes.
func (h *history) malformed() {
	input := h.input()
	all := [][]string{
		{"lbs-input", "no JSON"},
		{"lbs-input", `{"DataStreamName": 7}`},
		{"lbs-input", `{"DataStreamName": ""}`},
		{"lbs-input", `{}`},
		{"other", "field"},
		{"lbs-input", `{"DataStreamName": "data:1", "Info": [1, {"x": null}]}`, "_retry_count", "-3", "more", ""},
		{"lbs-input", `{"DataStreamName": "data:2"}`, "_retry_count", "many", "_crash_count", "1e300", "_not_before", "soon"},
		{"lbs-input", `{"DataStreamName": "data:3"}`, "lbs-input", `{"DataStreamName": "data:4"}`},
		{"lbs-input", `{"DataStreamName": "data:5", "Info": "\u0000\ud800"}`, "_not_before", fmt.Sprint(time.Now().Add(h.upTo(time.Minute)).UnixMilli())},
		{"lbs-input", fmt.Sprintf(`{"DataStreamName": %q}`, h.name())},
	}
	fields := all[h.n(len(all))]
	h.call(func(ctx context.Context) { h.raw(ctx, append([]string{"XADD", input, "*"}, fields...)...) })
}

// tamper changes by hand what belongs to the service.
func (h *history) tamper() {
	input, name := h.input(), h.name()
	l := h.fleet.ledger.layout
	keys := l.Keys(l.Of(name))
	group := "svc-group"
	kind := h.n(10)
	h.note("kind %d", kind)
	h.call(func(ctx context.Context) {
		switch kind {
		case 0:
			h.raw(ctx, "DEL", keys.Lease(name))
		case 1:
			h.raw(ctx, "SET", keys.Lease(name), "somebody 3 1-1", "PX", "20000")
		case 2:
			h.raw(ctx, "XGROUP", "DESTROY", input, group)
		case 3, 4:
			entries, _ := h.raw(ctx, "XRANGE", input, "-", "+", "COUNT", "5").AsXRange()
			for _, e := range entries {
				switch h.n(4) {
				case 0:
					h.raw(ctx, "XACK", input, group, e.ID)
				case 1:
					h.raw(ctx, "XDEL", input, e.ID)
				}
			}
		case 5:
			h.raw(ctx, "XTRIM", input, "MAXLEN", fmt.Sprint(h.n(5)))
		case 6:
			h.raw(ctx, "DEL", input)
		case 7:
			h.raw(ctx, "SCRIPT", "FLUSH")
		case 8:
			h.raw(ctx, "FLUSHALL")
		case 9:
			h.raw(ctx, "DEL", keys.Sessions)
		}
	})
}

// afterwards does what can only be done when no process runs.
func (h *history) afterwards() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	i := h.fleet.inspector
	switch h.n(16) { // each looks for thousands of partitions
	case 0:
		_, _ = i.Repartition(ctx, 1+h.n(4), func(scan.Progress) {})
	case 1:
		_, _ = i.DeleteService(ctx, func(scan.Progress) {})
	case 2:
		_, _ = i.Survey(ctx)
	case 3:
		_, _ = i.Leftovers(ctx)
	}
}
