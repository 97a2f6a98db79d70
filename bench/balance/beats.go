package balance

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
)

const (
	// beatProcesses is how many processes beat on each server, once a second.
	beatProcesses = 10
	// beatWindow is the time for which the cost of beats is read, on all servers at once. The median window counts: a busy machine
	// disturbs some of them.
	beatWindow = 5 * time.Second
	beatsFor   = 3 * time.Minute // at most
)

// BeatCosts is what servers spend on engines that hold nothing: their beats, and little else.
type BeatCosts struct {
	Processes int // of each fleet
	Fleets    []BeatFleet
}

// BeatFleet is a fleet on a server of its own. The first one has no balance.
type BeatFleet struct {
	Name    string
	Windows []BeatWindow // the same moments for all
}

// BeatWindow is what happened in a window.
type BeatWindow struct {
	Scripts int64
	Ran     time.Duration // executing, a script
	CPU     time.Duration // processor time, a script, and what a server does by itself
}

// beats measures all fleets at once, on private servers.
func (b *bench) beats(ctx context.Context) (err error) {
	if b.o.URL != "" {
		b.result.Left = append(b.result.Left, "beats: they are counted on private servers")
		return nil
	}
	fleets := []struct {
		name    string
		balance pod.Balance
		binary  string
	}{{"without", pod.BalanceOff, ""}, {"with the balance", pod.BalanceOn, ""}, {"the earlier build", "", b.o.Old}}
	if b.o.Old == "" {
		fleets = fleets[:2]
	}
	var scenes []*scene
	defer func() {
		for _, s := range scenes {
			err = errors.Join(err, s.close())
		}
	}()
	r := &BeatCosts{Processes: beatProcesses}
	for _, f := range fleets {
		s, err := open(ctx, b.o, b.report, f.balance)
		if err != nil {
			return err
		}
		scenes = append(scenes, s)
		s.options.Binary = f.binary
		if err := s.add(ctx, beatProcesses, time.Second/beatProcesses); err != nil {
			return err
		}
		r.Fleets = append(r.Fleets, BeatFleet{Name: f.name})
	}
	for end := time.Now().Add(min(b.o.Rest, beatsFor)); time.Now().Before(end); {
		before, err := usages(ctx, scenes)
		if err != nil {
			return err
		}
		if err := measure.Pause(ctx, min(beatWindow, b.o.Rest)); err != nil {
			return err
		}
		after, err := usages(ctx, scenes)
		if err != nil {
			return err
		}
		for i := range r.Fleets {
			r.Fleets[i].Windows = append(r.Fleets[i].Windows, windowOf(after[i].Since(before[i])))
		}
	}
	b.result.Beats = r
	b.steps.Done()
	return nil
}

// usages reads what each server has used.
func usages(ctx context.Context, scenes []*scene) (all []measure.Usage, err error) {
	for _, s := range scenes {
		u, err := measure.ReadUsage(ctx, s.target.Client)
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

func windowOf(u measure.Usage) BeatWindow {
	n := u.Calls.Scripts()
	each := func(d time.Duration) time.Duration { return d / time.Duration(max(n, 1)) }
	return BeatWindow{Scripts: n, Ran: each(u.Ran["evalsha"] + u.Ran["eval"]), CPU: each(u.CPU)}
}

func (w BeatWindow) ran() time.Duration { return w.Ran }
func (w BeatWindow) cpu() time.Duration { return w.CPU }

// figure is the median of a figure of a fleet.
func (f BeatFleet) figure(of func(BeatWindow) time.Duration) time.Duration {
	var all []time.Duration
	for _, w := range f.Windows {
		all = append(all, of(w))
	}
	return measure.Median(all)
}

// more is by how much a figure of a fleet exceeds that of another one in the same window: the median, and the middle half of the windows.
func (r *BeatCosts) more(fleet, than int, of func(BeatWindow) time.Duration) (middle, low, high time.Duration) {
	var all []time.Duration
	for i, w := range r.Fleets[fleet].Windows {
		all = append(all, of(w)-of(r.Fleets[than].Windows[i]))
	}
	return quartiles(all)
}

// reference is the fleet with which the balance is compared: the earlier build, which knows nothing of it, or else the one without.
func (r *BeatCosts) reference() int {
	if len(r.Fleets) > 2 {
		return 2
	}
	return 0
}
