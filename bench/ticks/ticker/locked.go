package ticker

import (
	"context"
	"hash/fnv"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// locked is how programs do it by hand: each process has a goroutine and a time.Ticker for each schedule, and before it fires a tick it takes
// a lock of the tick's name and time. The ticks are on a grid by the clock of the process, spread over the interval by the names. There is no
// more to it: after a restart, nobody knows what was fired.
type locked struct {
	*server
	option rueidis.ClientOption
	client rueidis.Client
	cancel context.CancelFunc
	firing sync.WaitGroup
	over   chan error
}

func (l *locked) start(ctx context.Context) (err error) {
	if l.client, err = rueidis.NewClient(l.option); err != nil {
		return err
	}
	l.over = make(chan error)
	ctx, l.cancel = context.WithCancel(ctx)
	for i := range l.options.Schedules {
		l.firing.Go(func() { l.fire(ctx, l.options.Prefix+strconv.Itoa(i)) })
	}
	return nil
}

func (l *locked) held() int           { return l.options.Schedules }
func (l *locked) ended() <-chan error { return l.over }

func (l *locked) stop(context.Context) error {
	l.cancel()
	l.firing.Wait()
	l.client.Close()
	return nil
}

// fire fires the ticks of one schedule for which this process gets the lock.
func (l *locked) fire(ctx context.Context, name string) {
	every := l.options.Every
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name))
	phase := time.Duration(hash.Sum64() % uint64(every))
	// nearest is the tick that is due around a time.
	nearest := func(t time.Time) time.Time {
		since := time.Duration(t.UnixNano()) - phase + every/2
		return time.Unix(0, int64(since/every*every+phase))
	}
	first := time.NewTimer(time.Until(nearest(time.Now().Add(every / 2))))
	defer first.Stop()
	select {
	case <-first.C:
	case <-ctx.Done():
		return
	}
	whole := context.WithoutCancel(ctx) // a lock that is under way in the end is of a tick
	for tick := time.NewTicker(every); ; {
		due := nearest(time.Now())
		lock := l.options.Service + ":" + name + ":" + strconv.FormatInt(due.UnixMilli(), 10)
		err := l.client.Do(whole, l.client.B().Set().Key(lock).Value(l.options.Consumer).Nx().Px(max(every, time.Second)).Build()).Error()
		if err == nil { // else the other process has it, or there is no answer
			l.tick(due)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}
