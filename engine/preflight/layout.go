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

// countLimit is how many announcements are counted at most if the server does not know the backlog: some 5 ms of its time.
const countLimit = 1000

// layout compares the number of partitions with the service's record, and checks where the partitions are placed. It reports
// whether the service is in Redis already; false if that is unknown.
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
		c.add(Fatal, Layout, "", err.Error(), "Finish or undo that with the command streamlease, or with scan.Inspector; no engine starts before that")
	case errors.Is(err, scan.ErrUnknownService):
		c.add(Note, Layout, "", fmt.Sprintf("service %s is not in Redis yet; the first engine or publisher records that it has %d partitions", service, asked), "")
	case errors.Is(err, api.ErrFormat), code == "WRONGTYPE":
		c.add(Fatal, Layout, "", err.Error(), fmt.Sprintf("Use a version of the library that knows this format, or delete %s if it is not a service's", c.Layout.Meta()))
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

// leftovers reports announcements and schedules that nobody reads. It reports nothing if looking for them is not allowed: an engine of a service
// with one partition has no right to the keys of other partitions.
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
	c.add(Warning, Layout, "", fmt.Sprintf("%d announcements and schedules are in %d partitions beyond the %d of the service, the first of them that of %s-input-%d: nobody reads them",
		total, len(left), partitions, c.Layout.Service(), first),
		fmt.Sprintf("Find who announces with another number of partitions; stop the service and repartition it to %d, which moves them to where they belong", partitions))
}

// announcements reports signs that somebody has trimmed input streams, or acknowledged by hand. This library itself leaves no such
// traces, so there are no false alarms. What was trimmed before it was delivered leaves none. Nothing is reported if the backlog
// cannot be read: the cause is reported elsewhere.
func (c *check) announcements(ctx context.Context, inspector *scan.Inspector) {
	all, _ := inspector.Backlog(ctx)
	trimmed, stranded := 0, 0
	for _, b := range all {
		trimmed += max(b.WithoutBody, 0)
		stranded += max(b.Stranded, 0)
	}
	if trimmed > 0 {
		c.add(Warning, Announcements, "", fmt.Sprintf("%d announcements were deleted while they were pending: somebody trims an input stream, or deletes from it by hand", trimmed),
			"Never trim an input stream: no MAXLEN or MINID in XADD, no XTRIM; what is done is deleted anyway")
	}
	if stranded > 0 {
		c.add(Warning, Announcements, "", fmt.Sprintf("%d announcements are neither pending nor undelivered, so nobody will get them: they were acknowledged by hand, or their consumer was removed", stranded),
			"Remove no consumers (no XGROUP DELCONSUMER) and acknowledge nothing by hand; Reannounce of scan.Inspector announces them again")
	}
}

// spread reports how the partitions are spread over the masters, and how many partitions would be spread evenly.
func (c *check) spread() {
	if c.owners == nil {
		if asked := c.Layout.Partitions(); asked > 1 {
			c.add(Note, Layout, "", fmt.Sprintf("%d partitions on one server cost %d reads and beats, and spread nothing", asked, asked),
				"One partition is enough, unless this will become a cluster")
		}
		return
	}
	asked, service, masters := c.Layout.Partitions(), c.Layout.Service(), len(c.masters)
	s, err := cluster.SpreadOf(service, asked, masters, c.owners)
	if err != nil || masters == 0 {
		c.add(Fatal, Layout, "", "no master has slots", "Assign the slots (redis-cli --cluster fix)")
		return
	}
	c.Spread = &s
	if s.Unserved > 0 {
		c.add(Fatal, Layout, "", fmt.Sprintf("%d of %d partitions are in slots that no master serves", s.Unserved, asked), "Look at CLUSTER INFO; redis-cli --cluster fix assigns slots")
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
	severity := Note // whoever asks for one partition does not want to spread the service
	if asked > 1 {
		severity = Warning
	}
	c.add(severity, Layout, "", fmt.Sprintf("%d of %d masters have no partition, the busiest has %.2f times its share", s.Idle(), masters, s.Busiest()),
		fmt.Sprintf("With %d partitions, a service of this name is spread well: %d masters without a partition, the busiest with %.2f times its share. A service that exists keeps its number; move slots instead (redis-cli --cluster reshard)",
			best.Partitions, best.Idle(), best.Busiest()))
}
