package engine

import (
	"cmp"
	"time"

	"github.com/redis/rueidis"
)

const (
	// topologyRefresh is how often a client asks for the topology at most. Nothing announces a change. An answer within
	// a fraction of the time that a failover takes (15 s and more with the default node timeout of a cluster) is
	// soon enough, and one CLUSTER SLOTS in five seconds is nothing to a server.
	topologyRefresh = 5 * time.Second
	// minTopologyRefresh is for sessions so short that five seconds are more than they have.
	minTopologyRefresh = time.Second
	// poolCleanup is above the longest time a reader waits between two reads, so that none loses its connection.
	poolCleanup = time.Minute
	// pingGap is how long a connection may be silent before it is asked, at most, and what the client does by default.
	pingGap = time.Second
	// minPingGap bounds what pings cost with the shortest TTLs.
	minPingGap = 50 * time.Millisecond
)

// ClientOption fills in what is zero in the options of a client that an engine with these options is to work on, for
// [New], [WithRenewalClient] and [NewPublisher]; [Open] and [WithDial] do it by themselves. Errors are those of New.
//
// A connection that hangs must be given up while there is still time to renew on another one. The time for that is the
// slack: the session TTL, less its margin, less the time between two beats, which is 8 s of the default 10 s. (Leases
// have more: 19 s of 30 s.) A client notices a hung connection after up to ConnWriteTimeout + 2 * Dialer.KeepAlive.
//
//	field                                   becomes       with the defaults   left alone by the client
//	ConnWriteTimeout                        the timeout of a call         1 s               10 s
//	Dialer.KeepAlive                        a quarter of the rest,        1 s                1 s
//	                                        50 ms to 1 s
//	Dialer.Timeout, Sentinel.Dialer.Timeout the timeout of a call         1 s                5 s
//	BlockingPoolCleanup                     a minute                   1 min              never
//	ClusterOption.ShardsRefreshInterval     half the slack, 1 s to 5 s    4 s    on errors only
//	Sentinel.TopologyRefreshInterval        the same                      4 s    when told only
//	PipelineMultiplex                       -1, one connection             -1      2, which is four
//	DisableCache                            true, whatever it was        true             false
//
// The cache is off since nothing here reads through it, and it costs a CLIENT TRACKING for each connection, which needs a
// right of its own. One connection carries all pipelines, since a server reads them one after the other anyway; four have
// to be kept alive with pings, which are most of what an idle process sends. What is set stays as it is, but for the cache.
func ClientOption(opt rueidis.ClientOption, opts ...Option) (rueidis.ClientOption, error) {
	cfg, _, err := resolve("any", opts)
	if err != nil {
		return opt, err
	}
	return tuned(opt, cfg), nil
}

// tuned is ClientOption for those who have a config.
func tuned(opt rueidis.ClientOption, cfg *config) rueidis.ClientOption {
	slack := cfg.sessionTTL - cfg.sessionMargin - cfg.beat
	refresh := min(topologyRefresh, max(slack/2, minTopologyRefresh))
	opt.DisableCache = true
	opt.ConnWriteTimeout = cmp.Or(opt.ConnWriteTimeout, cfg.timeout)
	opt.Dialer.KeepAlive = cmp.Or(opt.Dialer.KeepAlive, min(pingGap, max((slack-cfg.timeout)/4, minPingGap)))
	opt.Dialer.Timeout = cmp.Or(opt.Dialer.Timeout, cfg.timeout)
	opt.Sentinel.Dialer.Timeout = cmp.Or(opt.Sentinel.Dialer.Timeout, cfg.timeout)
	opt.BlockingPoolCleanup = cmp.Or(opt.BlockingPoolCleanup, poolCleanup)
	opt.ClusterOption.ShardsRefreshInterval = cmp.Or(opt.ClusterOption.ShardsRefreshInterval, refresh)
	opt.Sentinel.TopologyRefreshInterval = cmp.Or(opt.Sentinel.TopologyRefreshInterval, refresh)
	opt.PipelineMultiplex = cmp.Or(opt.PipelineMultiplex, -1)
	return opt
}
