package scan

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Balance is how the streams of a service are spread over its processes. Partitions are read one after the other, and what processes
// say of themselves is up to some seconds old.
type Balance struct {
	// Processes are those that say what they hold, by name. One that was killed is among them until it is recovered.
	Processes []Process

	// Streams are the announcements that processes share: those in the input streams, whether held, waiting or not delivered yet, without
	// Away. Away are those that processes hold which do not share.
	Streams, Away int

	// Weight is the sum of the weights of the processes that share, and of one for each of an earlier version. If it differs between
	// partitions, it is the greatest.
	Weight float64

	// Fair is how many streams are fair for a weight of 1: the sum, over the partitions, of streams by weight. Partitions in which nobody
	// shares add nothing.
	Fair float64

	// Older is how many processes with a live session are of a version that says nothing of what it holds.
	Older int

	// FrozenUntil is until when no stream is moved to even out how many each process holds (WishFreeze), by the server's clock; zero: some
	// may be.
	FrozenUntil time.Time
}

// Process is one run of a process, in all partitions.
type Process struct {
	Name       string // of the run, as engine.Engine.ID returns it
	ConsumerID string // the same in each run

	// Dead reports whether it has no live session, in any partition: its weight counts until it is recovered.
	Dead bool

	// State is what it is in all partitions; where that differs, one that is not BalanceShares.
	State BalanceState

	// Weight is its weight. Held is how many streams it holds; 0 for one that hands them all back, since those are as good as the others'.
	// Fill is Held by Weight.
	Weight float64
	Held   int
	Fill   float64

	// Fair is its fair share, in streams: Weight × Balance.Fair. It is 0 for one that does not share.
	Fair float64

	// Over is since when it holds too much, by its own clock; zero: it does not.
	Over time.Time

	// Wishes are what operators wish of its consumer ID.
	Wishes []Wish
}

// Balance returns how the streams of a service are spread over its processes. It changes nothing, and needs no right but to read. What
// fails is missing, and the error says why: without a partition, shares are too small. Errors match ErrUnknownService, or are those of
// the client.
func (i *Inspector) Balance(ctx context.Context) (Balance, error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return Balance{}, err
	}
	fleets, err := eachPartition(ctx, i, "fleet", func(layout *cluster.Layout, p int) lease.Call {
		return fleetCall(layout.Keys(p))
	}, func(p int, result rueidis.RedisResult) ([]partitionFleet, error) {
		f, err := parseFleet(layout.Keys(p), result)
		return []partitionFleet{f}, err
	})
	call, cancel := i.bounded(ctx)
	defer cancel()
	wishes, at, err1 := readWishes(call, i.run, layout)
	return balanceOf(fleets, wishes, at), errors.Join(err, explained("reading the wishes of service "+i.service, err1))
}

func fleetCall(k *cluster.Keys) lease.Call {
	return lease.Call{Script: scriptFleet, Keys: append([]string{k.Input}, fleetKeys(k)...), Args: []string{strconv.Itoa(maxFleet)}}
}

// partitionFleet is what is on record of the consumers of a partition.
type partitionFleet struct {
	streams, away int
	weight        float64 // of those that share, and of older ones
	older         []string
	members       []fleetMember
}

// fleetMember is a consumer with a row.
type fleetMember struct {
	member
	name  string
	alive bool
	fill  float64 // of its process; negative: unknown
}

func parseFleet(k *cluster.Keys, result rueidis.RedisResult) (f partitionFleet, err error) {
	parts, err := result.ToArray()
	if err != nil {
		return f, err
	}
	if textOf(parts, 0) == "many" {
		return f, tooLarge(k.Fleet, textOf(parts, 1), maxFleet)
	}
	if len(parts) != 5 {
		return f, errMalformed
	}
	entries, err1 := parts[0].AsInt64()
	older, err2 := parts[3].AsStrSlice()
	rows, err3 := parts[4].ToArray()
	if err := errors.Join(err1, err2, err3); err != nil {
		return f, err
	}
	f.older = older
	// Sums that were written by hand count as nothing, as do negative ones, which have drifted.
	weight, _ := parseDigits(textOf(parts, 1), 15)
	away, _ := parseDigits(textOf(parts, 2), 15)
	f.weight = float64(weight)/1000 + float64(len(older))
	f.away = int(away)
	f.streams = max(int(entries)-f.away, 0)
	for n := 0; n+3 < len(rows); n += 4 {
		row, ok := parseMember(textOf(rows, n+1))
		if !ok {
			continue
		}
		m := fleetMember{member: row, name: textOf(rows, n), alive: textOf(rows, n+2) == "1", fill: -1}
		if fill, err := rows[n+3].AsFloat64(); err == nil && fill >= 0 && !math.IsInf(fill, 0) {
			m.fill = fill
		}
		f.members = append(f.members, m)
	}
	return f, nil
}

// balanceOf puts together what is on record in all partitions.
func balanceOf(fleets []partitionFleet, wishes []Wish, at time.Time) (b Balance) {
	runs, older := make(map[string]*processRows), make(map[string]bool)
	for _, f := range fleets {
		b.Streams, b.Away, b.Weight = b.Streams+f.streams, b.Away+f.away, max(b.Weight, f.weight)
		if f.weight > 0 {
			b.Fair += float64(f.streams) / f.weight
		}
		for _, name := range f.older {
			run, _ := runOf(name)
			older[run] = true
		}
		for _, m := range f.members {
			run, _ := runOf(m.name)
			if runs[run] == nil {
				runs[run] = &processRows{fill: -1}
			}
			runs[run].add(m)
		}
	}
	wished := make(map[string][]Wish)
	for _, w := range wishes {
		if wished[w.Consumer] = append(wished[w.Consumer], w); w.Kind == WishFreeze {
			b.FrozenUntil = at.Add(w.Left)
		}
	}
	for run, rows := range runs {
		p := rows.process(run, b.Fair)
		p.Wishes = wished[p.ConsumerID]
		b.Processes = append(b.Processes, p)
		delete(older, run) // a partition has forgotten its row
	}
	b.Older = len(older)
	slices.SortFunc(b.Processes, func(a, b Process) int { return strings.Compare(a.Name, b.Name) })
	return b
}

// processRows are the rows of a process in all partitions.
type processRows struct {
	any, alive bool
	state      BalanceState
	weight     float64
	away       int
	over       time.Time
	fill       float64 // negative: unknown
}

func (r *processRows) add(m fleetMember) {
	if !r.any || r.state == BalanceShares {
		r.state = m.state
	}
	if !r.any {
		r.weight = m.weight
	}
	r.any, r.alive = true, r.alive || m.alive
	if m.state == BalanceShares {
		r.fill = max(r.fill, m.fill)
	} else {
		r.away += m.away
	}
	if !m.over.IsZero() && (r.over.IsZero() || m.over.Before(r.over)) {
		r.over = m.over
	}
}

// process returns what the rows say. The fill is that of the whole process; who shares nowhere has none, and its streams are counted.
func (r *processRows) process(run string, fair float64) Process {
	p := Process{Name: run, Dead: !r.alive, State: r.state, Weight: r.weight, Over: r.over, Held: r.away}
	_, p.ConsumerID = runOf(run)
	if r.fill >= 0 {
		p.Held, p.Fill = int(math.Round(r.fill*r.weight)), r.fill
	} else if r.weight > 0 {
		p.Fill = float64(r.away) / r.weight
	}
	if r.state == BalanceShares {
		p.Fair = r.weight * fair
	}
	return p
}
