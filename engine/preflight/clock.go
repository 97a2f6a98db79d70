package preflight

import (
	"fmt"
	"time"
)

const (
	// settledShare is the share of the session TTL by which the clocks of two servers may differ, as 1/settledShare. A server and
	// its successor may differ by a session TTL at most, which is how long settling lasts; half of that leaves room for further
	// drift.
	settledShare = 2
	// hostApart is the difference to this host's clock that is worth a note: only the times of WithNotBefore are set here and
	// compared there.
	hostApart = time.Second
	// tripShare is how many round trips a timeout must be longer than: with fewer, there is no room for a busy moment.
	tripShare = 4
)

// clocks compares the servers' clocks with each other and with this host's. It allows for an error of half a round trip.
func (c *check) clocks() {
	var first, last *node
	for _, n := range c.nodes {
		if len(n.trips) == 0 {
			continue
		}
		if first == nil || n.ahead < first.ahead {
			first = n
		}
		if last == nil || n.ahead > last.ahead {
			last = n
		}
		if apart := n.ahead.Abs() - n.unsure; apart > hostApart {
			side := "ahead of"
			if n.ahead < 0 {
				side = "behind"
			}
			c.add(Note, Clock, n.addr, fmt.Sprintf("its clock is %v %s that of this host; only WithNotBefore compares the two", n.ahead.Abs().Round(time.Millisecond), side),
				"Check NTP on both")
		}
	}
	if first == last {
		return
	}
	apart, unsure := last.ahead-first.ahead, first.unsure+last.unsure
	seen := fmt.Sprintf("the clocks of %s and %s are %v apart (±%v)", first.addr, last.addr, apart.Round(time.Millisecond), unsure.Round(time.Microsecond))
	if apart-unsure > c.SessionTTL/settledShare {
		c.add(Warning, Clock, "", fmt.Sprintf("%s, and a failover between them bridges %v", seen, c.SessionTTL), "Check NTP on both: beyond the session TTL a stream may have two owners after a failover")
		return
	}
	c.add(Note, Clock, "", seen+", the largest difference of any two", "")
}

// latency compares round trips with the timeout of a call.
func (c *check) latency() {
	var middle, worst time.Duration
	for _, n := range c.nodes {
		if len(n.trips) == 0 {
			continue
		}
		half, most := n.trips[len(n.trips)/2], n.trips[len(n.trips)-1]
		middle, worst = max(middle, half), max(worst, most)
		seen := fmt.Sprintf("round trips of %v, at most %v in %d, and a call is given up after %v", half.Round(time.Microsecond), most.Round(time.Microsecond), len(n.trips), c.Timeout)
		switch {
		case half >= c.Timeout:
			c.add(Fatal, Latency, n.addr, seen, "Use a longer WithSessionTTL and Timeout of WithPipeline, or run closer to the server")
		case half >= c.Timeout/tripShare || most >= c.Timeout:
			c.add(Warning, Latency, n.addr, seen, "Use a longer WithSessionTTL and Timeout of WithPipeline, or find what is slow")
		}
	}
	if worst > 0 {
		c.add(Note, Latency, "", fmt.Sprintf("round trips of %v on the slowest node, %v at most; sessions last %v, leases %v, a call is given up after %v",
			middle.Round(time.Microsecond), worst.Round(time.Microsecond), c.SessionTTL, c.LeaseTTL, c.Timeout), "")
	}
}
