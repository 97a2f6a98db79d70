package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/streamlease/streamlease/bench/page"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/simulation"
)

// ScaleOptions say which fleet is simulated.
type ScaleOptions struct {
	Fleet simulation.Config
	From  string        // file from which the costs are; empty: they were given
	Lost  []int         // pods that die at once, in a simulation each
	For   time.Duration // virtual time of renewing
}

// Scaled is the result of the simulations.
type Scaled struct {
	From        string `json:",omitempty"` // file from which the costs are; empty: they were given
	Fleet       simulation.Config
	Assumptions []string
	Load        simulation.Load
	Recovered   []simulation.Recovery
}

// goalWait is how long a renewal may wait at its master for others.
const goalWait = time.Second

// Scale simulates a fleet in virtual time, without a server.
func Scale(ctx context.Context, o ScaleOptions, r *report.Report) (err error) {
	r.Redis = "none: a simulation"
	s := Scaled{From: o.From, Fleet: o.Fleet, Assumptions: o.Fleet.Assumptions()}
	steps := r.Steps("scale", 1+len(o.Lost))
	defer steps.End()
	if s.Load, err = simulation.Renewing(o.Fleet, o.For); err != nil {
		return err
	}
	steps.Done()
	for _, lost := range o.Lost {
		if err := ctx.Err(); err != nil {
			return err
		}
		recovered, err := simulation.Recovering(o.Fleet, lost)
		if err != nil {
			return err
		}
		s.Recovered = append(s.Recovered, recovered)
		steps.Done()
	}
	steps.End()
	return r.Write(s, func(out io.Writer) { writeScaled(out, s) }, s.plots()...)
}

func writeScaled(out io.Writer, s Scaled) {
	l := s.Load
	t := report.NewTable("renewing", "the fleet", "a master", "the busiest")
	masters := float64(s.Fleet.Masters)
	t.Row("streams", report.Grouped(s.Fleet.Pods*s.Fleet.PerPod), report.Grouped(float64(s.Fleet.Pods*s.Fleet.PerPod)/masters), "")
	t.Row("leases a second", report.Grouped(l.Leases), report.Grouped(l.Leases/masters), "")
	t.Row("scripts a second", report.Grouped(l.Scripts), report.Grouped(l.PerMaster), report.Grouped(l.Busiest))
	t.Row("leases a script", fmt.Sprintf("%.1f", l.LeasesPerScript), "", "")
	t.Row("CPU, share of a core", report.Percent(l.CPU*masters), report.Percent(l.CPU), report.Percent(l.BusiestCPU))
	t.Row("a script waits at most", "", "", report.Milliseconds(l.Wait))
	t.Write(out)
	if l.Behind > s.Fleet.Tick {
		fmt.Fprintf(out, "\nThe busiest master cannot keep up with renewals alone: %s of work wait for it in the end, and leases are lost.\n", report.Seconds(l.Behind))
	}
	fmt.Fprintln(out)
	if len(s.Recovered) > 0 {
		t := report.NewColumns("pods that die at once", s.Recovered, func(r simulation.Recovery) any { return report.Grouped(r.Lost) })
		t.Line("streams", func(r simulation.Recovery) any { return report.Grouped(r.Streams) })
		t.Line("noticed everywhere after", func(r simulation.Recovery) any { return report.Seconds(r.Noticed) })
		t.Line("owned again, p50", func(r simulation.Recovery) any { return reached(r, .5, r.P50) })
		t.Line("owned again, p99", func(r simulation.Recovery) any { return reached(r, .99, r.P99) })
		t.Line("owned again, the last", func(r simulation.Recovery) any { return reached(r, 1, r.Max) })
		t.Line("CPU, busiest master and second", func(r simulation.Recovery) any { return report.Percent(r.CPU) })
		t.Line("a renewal waits at most", func(r simulation.Recovery) any { return report.Milliseconds(r.Wait) })
		t.Line("the fullest survivor holds", func(r simulation.Recovery) any { return report.Grouped(r.Held) })
		t.Write(out)
		writeLeft(out, s.Recovered)
	}
	fmt.Fprintf(out, "\n%s pods of %s streams, %d partitions, %d masters, lease TTL %v, session TTL %v, in virtual time, assuming that\n",
		report.Grouped(s.Fleet.Pods), report.Grouped(s.Fleet.PerPod), s.Fleet.Partitions, s.Fleet.Masters, s.Fleet.LeaseTTL, s.Fleet.SessionTTL)
	for _, a := range s.Assumptions {
		fmt.Fprintf(out, "- %s\n", a)
	}
	if s.From == "" {
		fmt.Fprintln(out, "The costs are not those of this machine, but defaults, or as given.")
	} else {
		fmt.Fprintf(out, "The costs are those that bench size measured, in %s.\n", s.From)
	}
	for _, r := range s.Recovered {
		report.Goal(out, fmt.Sprintf("%s pods die: seconds that a renewal waits", report.Grouped(r.Lost)), r.Wait.Seconds(), "at most", goalWait.Seconds())
	}
}

// reached is the time until a share of the streams was owned again, where it was.
func reached(r simulation.Recovery, share float64, after time.Duration) string {
	if !r.Reached(share) {
		return "not in " + report.Seconds(simulation.Patience)
	}
	return report.Seconds(after)
}

// writeLeft says where masters are too few for the costs.
func writeLeft(out io.Writer, all []simulation.Recovery) {
	for _, r := range all {
		if r.Left > 0 {
			fmt.Fprintf(out, "\nPods that die at once: %s. Of their streams %s of %s are not owned again in %v: the masters have no time left. With these costs the fleet "+
				"needs more masters or fewer partitions;\ncosts that were measured on a busy machine are too high.\n",
				report.Grouped(r.Lost), report.Grouped(r.Left), report.Grouped(r.Streams), simulation.Patience)
		}
	}
}

func (s Scaled) plots() (all []page.Plot) {
	whole := slices.DeleteFunc(slices.Clone(s.Recovered), func(r simulation.Recovery) bool { return r.Left > 0 })
	last := page.Lines{Title: "Until streams are owned again", X: "pods that die at once", Y: "s", LogX: true, Series: []page.Series{
		over("p50", whole, lostPods, func(r simulation.Recovery) float64 { return r.P50.Seconds() }),
		over("the last", whole, lostPods, func(r simulation.Recovery) float64 { return r.Max.Seconds() }),
	}}
	cpu := page.Lines{Title: "The busiest master meanwhile", X: "pods that die at once", Y: "% of a core, in its busiest second", LogX: true, Series: []page.Series{
		over("recovering", s.Recovered, lostPods, func(r simulation.Recovery) float64 { return 100 * r.CPU }),
		over("renewing alone", s.Recovered, lostPods, func(simulation.Recovery) float64 { return 100 * s.Load.BusiestCPU }),
	}}
	if len(whole) > 0 {
		all = append(all, last)
	}
	return append(all, cpu)
}

func lostPods(r simulation.Recovery) float64 { return float64(r.Lost) }

// ReadCosts reads the costs that Size measured from its JSON, or from that of a whole report.
func ReadCosts(path string) (c Costs, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("-from: %w", err)
	}
	type run struct {
		Command string
		Results json.RawMessage
	}
	var file struct {
		run
		Parts []run
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return c, fmt.Errorf("-from: %s: %w", path, err)
	}
	for _, r := range append(file.Parts, file.run) {
		if report.Subcommand(r.Command) != "size" && !strings.Contains(r.Command, " size ") {
			continue
		}
		var sized Sized
		if err := json.Unmarshal(r.Results, &sized); err != nil {
			return c, fmt.Errorf("-from: %s: %w", path, err)
		}
		if sized.Costs.Move > 0 {
			return sized.Costs, nil
		}
	}
	return c, fmt.Errorf("-from: %s holds no results of bench size", path)
}
