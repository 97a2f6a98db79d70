package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/producer"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
)

// ScanOptions say what is scanned.
type ScanOptions struct {
	Pending   []int // entries, each size with a server of its own
	Consumers int   // that are alive and share the entries
	Looks     int   // how often
}

// Scanned is what one look at a partition costs in which nobody is dead, as engines take it at each interval.
type Scanned struct {
	Pending   int
	Consumers int
	Commands  map[string]float64 // by name: commands that the server ran, including those that scripts call
	Total     float64            // of these
	Scripts   float64            // of these, sent by the client
	Took      time.Duration      // median of the looks
}

// Scan measures looks at partitions in the steady state. Sessions are long and nobody renews, so the server runs nothing but the looks.
func Scan(ctx context.Context, o ScanOptions, r *report.Report) error {
	var all []Scanned
	for _, pending := range o.Pending {
		s, err := scanOne(ctx, pending, o)
		if err != nil {
			return fmt.Errorf("%d entries pending: %w", pending, err)
		}
		all = append(all, s)
	}
	return r.Write(all, func(out io.Writer) { writeScanned(out, all) })
}

func scanOne(ctx context.Context, pending int, o ScanOptions) (s Scanned, err error) {
	t, err := target.Open(ctx, "")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	layout, err := cluster.NewLayout(target.Service, 1)
	if err != nil {
		return s, err
	}
	c := &partition{server: t.Private, client: t.Client, layout: layout}
	if err := c.fill(ctx, pending, o.Consumers); err != nil {
		return s, err
	}
	scanner := scan.NewStore(layout, scan.Settings{
		Config: scan.Config{}.WithDefaults(), SessionTTL: engine.DefaultSessionTTL, Gap: time.Hour, Settle: true,
		Timeout: pod.Patience, Page: lease.Pipeline{}.WithDefaults().MaxMoves(),
	}, t.Client, nil)
	if err := c.look(ctx, scanner); err != nil { // from here on the server has the scripts
		return s, err
	}
	s = Scanned{Pending: pending, Consumers: o.Consumers}
	return s, c.measure(ctx, scanner, o.Looks, &s)
}

// partition is a partition in which every consumer is alive.
type partition struct {
	server *servers.Server
	client rueidis.Client
	layout *cluster.Layout
}

func consumer(i int) string { return "pod-" + strconv.Itoa(i) + ".0" }

// fill makes consumers with long sessions, and has them read that many entries together.
func (c *partition) fill(ctx context.Context, pending, consumers int) error {
	store := lease.NewStore(c.layout, lease.Settings{
		LeaseTTL: engine.DefaultLeaseTTL, SessionTTL: engine.DefaultSessionTTL, Gap: time.Hour, Settle: true, Timeout: pod.Patience,
	}, c.client, c.client, nil)
	p := producer.Producer{Client: c.client, Service: target.Service, Prefix: target.Prefix}
	if _, err := p.Announce(ctx, 0, pending); err != nil {
		return err
	}
	later := float64(time.Now().Add(time.Hour).UnixMilli())
	read := 0
	for i := range consumers {
		if _, err := store.Open(ctx, 0, consumer(i), 0); err != nil {
			return err
		}
		session := c.client.B().Zadd().Key(c.layout.Keys(0).Sessions).ScoreMember().ScoreMember(later, consumer(i)).Build()
		if err := c.client.Do(ctx, session).Error(); err != nil {
			return err
		}
		if share := (i+1)*pending/consumers - i*pending/consumers; share > 0 {
			got, err := store.Read(ctx, 0, consumer(i), share, time.Millisecond)
			if err != nil {
				return err
			}
			read += len(got)
		}
	}
	if read != pending {
		return fmt.Errorf("%d of %d entries were read", read, pending)
	}
	return nil
}

// look is what an engine does at each interval.
func (c *partition) look(ctx context.Context, scanner *scan.Store) error {
	turn, err := scanner.Turn(ctx, 0, consumer(0))
	if err != nil {
		return err
	}
	dead, err := scanner.Dead(ctx, 0, consumer(0), true)
	if err != nil {
		return err
	}
	if !turn || len(dead) > 0 {
		return fmt.Errorf("the look had its turn: %v, and found %d live consumers dead", turn, len(dead))
	}
	return nil
}

// measure looks that often, as if an interval had passed each time.
func (c *partition) measure(ctx context.Context, scanner *scan.Store, looks int, s *Scanned) error {
	var took []time.Duration
	before, err := c.server.CommandStats(ctx)
	if err != nil {
		return err
	}
	for range looks {
		if err := c.client.Do(ctx, c.client.B().Del().Key(c.layout.Keys(0).Scan).Build()).Error(); err != nil {
			return err
		}
		began := time.Now()
		if err := c.look(ctx, scanner); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	after, err := c.server.CommandStats(ctx)
	if err != nil {
		return err
	}
	s.Took, s.Commands = measure.Median(took), make(map[string]float64)
	ours := map[string]int64{"info": 1, "del": int64(looks)} // sent by the measurement itself
	for name, stat := range after {
		if n := stat.Calls - before[name].Calls - ours[name]; n > 0 {
			s.Commands[name] = float64(n) / float64(looks)
			s.Total += s.Commands[name]
		}
	}
	s.Scripts = s.Commands["evalsha"]
	return nil
}

func writeScanned(out io.Writer, all []Scanned) {
	t := report.NewTable("entries pending", "consumers", "scripts", "commands", "time")
	for _, s := range all {
		t.Row(report.Grouped(s.Pending), s.Consumers, fmt.Sprintf("%.1f", s.Scripts), fmt.Sprintf("%.1f", s.Total), report.Milliseconds(s.Took))
	}
	t.Write(out)
	fmt.Fprint(out, "\ncommands  all that the server runs for one look at a partition, including those that scripts call:")
	for _, s := range all {
		fmt.Fprintf(out, "\n          %s pending:", report.Grouped(s.Pending))
		for _, name := range report.SortedKeys(s.Commands) {
			fmt.Fprintf(out, " %s %.1f", name, s.Commands[name])
		}
	}
	fmt.Fprint(out, "\ntime      of both scripts, one after the other: median\n")
	for _, s := range all[1:] {
		report.Goal(out, fmt.Sprintf("%s pending: commands a look, where %s pending cost %s", report.Grouped(s.Pending), report.Grouped(all[0].Pending), report.Figure(all[0].Total)),
			s.Total, "at most", all[0].Total)
	}
}
