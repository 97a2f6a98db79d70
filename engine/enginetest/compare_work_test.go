package enginetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/scan"
)

// work is what the processes of a history do with what they own: anything.
type work struct{ *history }

var errWork = errors.New("work failed")

func (w *work) program() Program {
	switch w.layer {
	case "each":
		return Each(func(ctx context.Context, l api.Lease) error {
			w.pause(ctx, time.Minute)
			w.checkpoint(ctx, l)
			return w.outcome()
		})
	case "feed":
		c := feed.Config{Mode: feed.Polling, MaxBatch: []int{0, 1, 3}[w.n(3)], MaxRetries: 1 + w.n(3)}
		if w.n(2) == 0 {
			c.OnFailure = feed.Skip
		}
		if w.n(2) == 0 {
			c.Trim = feed.TrimHandled
		}
		if w.n(3) == 0 {
			c.IdleDone = 30 * time.Second
		}
		return Feed(w.batch, c)
	case "schedule":
		return Schedule(func(schedule.Owned) (schedule.Task, error) {
			if w.n(10) == 0 {
				return nil, errWork
			}
			return schedule.TaskFunc(w.tick), nil
		}, schedule.Config{})
	}
	return Handler(api.HandlerFunc(w.handle))
}

func (w *work) recovery() engine.Option {
	return engine.WithRecovery(scan.Config{MaxRetries: []int{0, scan.NoRetries, 1}[w.n(3)], MaxCrashes: []int{0, 2}[w.n(2)],
		Interval: []time.Duration{0, time.Second}[w.n(2)], DLQMaxLen: []int{0, 2}[w.n(2)], DLQTrim: w.n(2) == 0,
		CheckpointTTL: []time.Duration{0, time.Minute}[w.n(2)]})
}

// pause waits for a random time, or until ctx ends.
func (w *work) pause(ctx context.Context, limit time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(w.upTo(limit)):
	}
}

// outcome is what a handler returns.
func (w *work) outcome() error {
	switch w.n(12) {
	case 0, 1:
		return errWork
	case 2:
		return api.Permanent(errWork)
	case 3:
		return api.Snooze(w.upTo(time.Minute))
	case 4:
		panic("work panics")
	}
	return nil
}

func (w *work) handle(ctx context.Context, n api.Notification) error {
	switch n.Kind {
	case api.Added:
		if w.n(4) == 0 {
			w.pause(ctx, 10*time.Second)
		}
		w.checkpoint(ctx, n.Lease)
		if w.n(3) > 0 {
			l := n.Lease
			w.calls.Go(func() {
				w.pause(l.Context(), 3*time.Minute)
				ctx, cancel := context.WithTimeout(context.Background(), callLimit)
				defer cancel()
				w.checkpoint(ctx, l)
				w.end(ctx, l)
			})
		}
		return w.outcome()
	case api.Releasing:
		switch w.n(4) {
		case 0:
			w.pause(ctx, 10*time.Second)
		case 1:
			w.end(ctx, n.Lease)
		}
	}
	return nil
}

// end ends an ownership in one of the ways.
func (w *work) end(ctx context.Context, l api.Lease) {
	switch w.n(6) {
	case 0:
		_ = l.Release(ctx)
	case 1:
		_ = l.Fail(ctx, fmt.Errorf("%w: ünï \r\n %d", errWork, w.n(100)))
	case 2:
		l.DropCheckpoint()
		_ = l.Done(ctx)
	default:
		_ = l.Done(ctx)
	}
}

func (w *work) checkpoint(ctx context.Context, l api.Lease) {
	value := fmt.Sprint(l.Checkpoint(), w.n(10))
	if w.n(10) == 0 {
		value = string(make([]byte, w.n(4000)))
	}
	value = value[max(0, len(value)-3000):]
	switch w.n(6) {
	case 0, 1:
		l.SetCheckpoint(value)
	case 2:
		_ = l.SaveCheckpoint(ctx, value)
	case 3:
		l.DropCheckpoint()
	}
}

func (w *work) batch(ctx context.Context, b *feed.Batch) error {
	w.pause(ctx, 10*time.Second)
	switch w.n(8) {
	case 0:
		return feed.At(b.Messages[w.n(len(b.Messages))].ID, errWork)
	case 1:
		return feed.Finish
	case 2:
		_ = b.SaveState(fmt.Sprint(b.State(), w.n(10)))
	case 3:
		kept := b.Keep()
		w.calls.Go(func() {
			w.pause(ctx, time.Minute)
			if w.n(3) == 0 {
				kept.Retry(errWork)
			} else {
				kept.Handled()
			}
		})
		return nil
	}
	return w.outcome()
}

// send adds messages, and does what producers may do besides.
func (w *work) send(ctx context.Context, name string) {
	client := w.fleet.client
	switch w.n(12) {
	case 0:
		client.Do(ctx, client.B().Del().Key(name).Build())
	case 1:
		client.Do(ctx, client.B().Xtrim().Key(name).Maxlen().Threshold(fmt.Sprint(w.n(5))).Build())
	case 2:
		client.Do(ctx, client.B().Xadd().Key(name).Id("*").FieldValue().FieldValue("f", string(make([]byte, w.n(10000)))).Build())
	default:
		for range 1 + w.n(10) {
			_, _ = w.fleet.sender.Send(ctx, name, feed.Field{Name: "text", Value: fmt.Sprint("m", w.n(100))})
		}
	}
}

func (w *work) tick(ctx context.Context, t *schedule.Tick) error {
	w.pause(ctx, 10*time.Second)
	if w.n(3) == 0 {
		t.Save([]byte(fmt.Sprint(w.n(1000))))
	}
	return w.outcome()
}

// put changes schedules.
func (w *work) put(ctx context.Context) {
	name, table := w.name(), w.fleet.table
	switch w.n(8) {
	case 0:
		_, _ = table.Delete(ctx, []string{name})
	case 1:
		_ = table.Pause(ctx, "paused", name)
	case 2:
		_ = table.Resume(ctx, name)
	case 3:
		_ = table.Trigger(ctx, name)
	case 4:
		for _, err := range table.List(ctx, schedule.Filter{}) {
			if err != nil {
				break
			}
		}
	default:
		spec := schedule.Spec{Name: name, Every: time.Duration(1+w.n(100)) * time.Second, Info: w.n(1000)}
		if w.n(4) == 0 {
			spec.Every, spec.Cron = 0, "*/2 * * * *"
		}
		_, _ = table.Put(ctx, spec)
	}
}
