package preflight

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// countLimit is how many announcements are counted at most for a backlog that the server does not know: some 5 ms of its time.
const countLimit = 1000

// layout compares the number of partitions with what the service says of itself, and looks where they lie. exists says
// whether the service is in Redis already; it is false where that is unknown.
func (c *check) layout(ctx context.Context) (exists bool) {
	asked, service := c.Layout.Partitions(), c.Layout.Service()
	inspector, err := scan.NewInspector(c.client, service, scan.InspectorConfig{Timeout: c.patience(), CountLimit: countLimit})
	if err != nil {
		c.add(Fatal, Layout, "", err.Error(), "")
		return false
	}
	found, err := inspector.Partitions(ctx)
	switch code, _ := lease.Refusal(err); {
	case err == nil && found != asked:
		c.add(Fatal, Layout, "", fmt.Sprintf("service %s has %d partitions, %d were asked for", service, found, asked),
			fmt.Sprintf("Use WithPartitions(%d), or another service name: the number is fixed while a service runs (streamlease repartition changes that of a stopped one)", found))
	case err == nil:
		c.add(Note, Layout, "", fmt.Sprintf("service %s has %d partitions", service, found), "")
	case errors.Is(err, api.ErrServiceStopped):
		c.add(Fatal, Layout, "", err.Error(), "Finish or undo it with the command streamlease, or with scan.Inspector; no engine starts before")
	case errors.Is(err, scan.ErrUnknownService):
		c.add(Note, Layout, "", fmt.Sprintf("service %s is not in Redis yet; the first engine or publisher writes that it has %d partitions", service, asked), "")
	case errors.Is(err, api.ErrFormat), code == "WRONGTYPE":
		c.add(Fatal, Layout, "", err.Error(), fmt.Sprintf("Use a version of the library that knows it, or delete %s if it is not a service's", c.Layout.Meta()))
	default:
		c.add(Note, Layout, "", "the number of partitions is unknown: "+err.Error(), "")
	}
	if err == nil {
		c.leftovers(ctx, inspector, found)
		c.announcements(ctx, inspector)
	}
	c.spread()
	return err == nil
}

// leftovers tells of announcements that nobody reads. It says nothing where they may not be looked for: an engine of a service
// with one partition has no right to the keys of others.
func (c *check) leftovers(ctx context.Context, inspector *scan.Inspector, partitions int) {
	left, err := inspector.Leftovers(ctx)
	if err != nil || len(left) == 0 {
		return
	}
	total, first := 0, cluster.MaxPartitions
	for p, n := range left {
		total += n
		first = min(first, p)
	}
	c.add(Warning, Layout, "", fmt.Sprintf("%d announcements are in %d input streams beyond the %d partitions, the first of them %s-input-%d: nobody reads them",
		total, len(left), partitions, c.Layout.Service(), first),
		fmt.Sprintf("Find who announces with another number of partitions; stop the service and repartition it to %d, which brings them home", partitions))
}

// announcements looks whether somebody has trimmed input streams, or acknowledged by hand. Nothing this library does leaves such
// traces, so each is true. What was trimmed before anybody was given it leaves none. Nothing is said where the backlog cannot be
// asked for: what is in the way of that is told elsewhere.
func (c *check) announcements(ctx context.Context, inspector *scan.Inspector) {
	all, _ := inspector.Backlog(ctx)
	trimmed, stranded := 0, 0
	for _, b := range all {
		trimmed += max(b.WithoutBody, 0)
		stranded += max(b.Stranded, 0)
	}
	if trimmed > 0 {
		c.add(Warning, Announcements, "", fmt.Sprintf("%d announcements that consumers have were deleted: somebody trims an input stream, or deletes from it by hand", trimmed),
			"Never trim an input stream: no MAXLEN or MINID in XADD, no XTRIM; what is done is deleted by itself")
	}
	if stranded > 0 {
		c.add(Warning, Announcements, "", fmt.Sprintf("%d announcements are neither pending nor undelivered, so nobody will be given them: they were acknowledged by hand, or their consumer was removed", stranded),
			"Remove no consumers (no XGROUP DELCONSUMER) and acknowledge nothing by hand; Reannounce of scan.Inspector brings them back")
	}
}

// spread says how the partitions lie over the masters, and how many would lie well.
func (c *check) spread() {
	if c.owners == nil {
		if asked := c.Layout.Partitions(); asked > 1 {
			c.add(Note, Layout, "", fmt.Sprintf("%d partitions on one server cost %d reads and beats, and spread nothing", asked, asked),
				"One partition is enough, unless this becomes a cluster")
		}
		return
	}
	asked, service, masters := c.Layout.Partitions(), c.Layout.Service(), len(c.masters)
	s, err := cluster.SpreadOf(service, asked, masters, c.owners)
	if err != nil || masters == 0 {
		c.add(Fatal, Layout, "", "no master has slots", "Share out the slots (redis-cli --cluster fix)")
		return
	}
	c.Spread = &s
	if s.Unserved > 0 {
		c.add(Fatal, Layout, "", fmt.Sprintf("%d of %d partitions are in slots that no master serves", s.Unserved, asked), "Look at CLUSTER INFO; redis-cli --cluster fix shares slots out")
	}
	for i, count := range s.OnMaster {
		c.add(Note, Layout, c.masters[i], fmt.Sprintf("%d of %d partitions", count, asked), "")
	}
	c.unreached()
	if s.Idle() == 0 && s.Busiest() <= cluster.GoodSpread {
		return
	}
	best, err := cluster.SuggestPartitions(service, cluster.MaxPartitions, masters, c.owners)
	if err != nil {
		return
	}
	severity := Note // one partition is what somebody asks for who does not want to spread it
	if asked > 1 {
		severity = Warning
	}
	c.add(severity, Layout, "", fmt.Sprintf("%d of %d masters have no partition, the busiest has %.2f times its share", s.Idle(), masters, s.Busiest()),
		fmt.Sprintf("A service of this name lies well from %d partitions on: %d masters without, %.2f times. A service that exists keeps its number; move slots instead (redis-cli --cluster reshard)",
			best.Partitions, best.Idle(), best.Busiest()))
}
