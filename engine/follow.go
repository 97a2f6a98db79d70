package engine

import (
	"fmt"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/dialer"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// follower has the engine's own clients follow servers that move (MOVING), before the address that they know goes away.
//
// The side connection on which the notice came finds out whether the new endpoint answers. If so, connections to the old one are
// left: each when nothing is on its way on it, so that no call fails, and all of them in half of the time that is left. New ones
// lead to the new endpoint (see package dialer). If it does not answer, the old address stays in use while it lasts, and new
// connections try the endpoint after it. A notice without an endpoint says that the same address will lead elsewhere: its
// connections are left after half of the announced time.
//
// A beat follows at once in each partition that is affected, which finds out whether another server answers, and what it has
// forgotten. Renewals go on all the while: one that finds its connection left is sent on the next.
type follower struct {
	*env
	dialer     *dialer.Dialer // of the engine's own clients; nil: it makes none
	partitions int
	serves     func(partition int, addr string) bool // false: another server has that partition
	beat       func(partition int)                   // sends a beat at once
	nudge      func()                                // asks soon for the topology
	back       func(addr string)                     // has notices listened to at an address itself again

	beaten map[string]int64 // when partitions of an address were last beaten because it moves; only follow uses it
}

// patience bounds how long connections may still be used when they are being left.
const (
	minPatience = 100 * time.Millisecond
	maxPatience = 10 * time.Second
)

// redialGap is the shortest time between two announcements by one server that it moves for which its partitions are beaten out of
// turn. Its connections are left each time; the next ordinary beat finds out as much.
const redialGap = 10 * time.Second

// mostBeaten bounds what is remembered for redialGap, since addresses may come and go for years.
const mostBeaten = 1024

// follow is called with the outcome of each notice that a server moves. Calls do not overlap.
func (f *follower) follow(h notice.Handoff) {
	patience := min(max(time.Until(h.End)/2, minPatience), maxPatience)
	result, detail := metrics.MoveFollowed, fmt.Sprintf("%s moves to %s", h.Node, h.Endpoint)
	switch {
	case h.Err != nil:
		result, detail = metrics.MoveUnanswered, detail+", which does not answer; the old address stays in use"
		f.dialer.Expect(h.Node, h.Endpoint, h.End)
	case h.Endpoint == "":
		result, detail = metrics.MoveReconnected, h.Node+" leads to another server; its connections are made again"
		f.dialer.Renew(h.Node, patience)
	default:
		f.dialer.Follow(h.Node, h.Endpoint, h.End, patience)
	}
	f.metrics.Inc(metrics.Moves.With(result))
	f.tell(api.Event{
		Kind: api.EventServerMoved, Partition: api.NoPartition, Err: h.Err, Detail: detail,
		Maintenance: &api.Maintenance{Notice: notice.Moving.String(), Seq: h.Seq, Node: h.Node, Endpoint: h.Endpoint},
	})
	if h.Err == nil {
		f.relocated(h.Node)
	}
}

// relocated beats each partition that a server has, since another one may have it now.
func (f *follower) relocated(addr string) {
	now := f.clock.Now()
	if last, ok := f.beaten[addr]; ok && now < last+int64(redialGap) {
		return
	}
	if len(f.beaten) == mostBeaten {
		clear(f.beaten)
	}
	f.beaten[addr] = now
	n := 0
	for p := range f.partitions {
		if f.serves(p, addr) {
			f.beat(p)
			n++
		}
	}
	f.nudge()
	if n > 0 {
		f.metrics.Add(metrics.PartitionsRelocated, n)
		f.event(api.EventTopologyChanged, api.NoPartition, nil, fmt.Sprintf("%d of %d partitions", n, f.partitions))
	}
}

// returned is called when the dialer uses an address itself again.
func (f *follower) returned(address, reason string) {
	f.metrics.Inc(metrics.Moves.With(metrics.MoveReturned))
	f.back(address)
	f.log.Info("connecting to the address of a server itself again", "server", address, "reason", reason)
}
