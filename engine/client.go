package engine

import (
	"cmp"
	"time"

	"github.com/redis/rueidis"
)

const (
	// topologyRefresh is the longest interval at which a client asks for the topology, since nothing announces a change. That is a
	// fraction of the time that a failover takes (15 s and more with a cluster's default node timeout), and one CLUSTER SLOTS in
	// five seconds costs a server next to nothing.
	topologyRefresh = 5 * time.Second
	// minTopologyRefresh is for sessions that do not last five seconds.
	minTopologyRefresh = time.Second
	// poolCleanup is longer than a reader ever waits between two reads, so that no reader loses its connection.
	poolCleanup = time.Minute
	// pingGap is the longest time that a connection may be silent before it is pinged. It is also the client's default.
	pingGap = time.Second
	// minPingGap bounds the cost of pings with the shortest TTLs.
	minPingGap = 50 * time.Millisecond
)

// ClientOption returns opt with its zero fields set for a client that an engine with these options uses. It is for the clients
// given to [New], [WithRenewalClient] and [NewPublisher]; [Open] and [WithDial] do it themselves. Errors are those of New.
//
// A connection that hangs must be given up while there is still time to renew on another one. That time is the slack: the session
// TTL, less its margin, less the time between two beats, which is 8 s with the default TTL of 10 s. (Leases have more: 19 s of
// 30 s.) A client notices a hung connection after up to ConnWriteTimeout + 2 * Dialer.KeepAlive.
//
//	field                                    is set to                     by default   if left zero
//	ConnWriteTimeout                         the timeout of a call         1 s          10 s
//	Dialer.KeepAlive                         a quarter of the slack that   1 s          1 s
//	                                         the timeout leaves,
//	                                         50 ms to 1 s
//	Dialer.Timeout, Sentinel.Dialer.Timeout  the timeout of a call         1 s          5 s
//	BlockingPoolCleanup                      a minute                      1 min        never
//	ClusterOption.ShardsRefreshInterval      half the slack, 1 s to 5 s    4 s          on errors only
//	Sentinel.TopologyRefreshInterval         half the slack, 1 s to 5 s    4 s          on messages only
//	PipelineMultiplex                        -1, one connection            -1           2, four connections
//	DisableCache                             true, always                  true         false
//
// The client-side cache is disabled since nothing here reads through it, and it costs a CLIENT TRACKING for each connection, which
// needs an access right of its own. One connection carries all pipelines, since a server reads them one after the other anyway;
// four would have to be kept alive with pings, which are most of what an idle process sends. Fields that are set stay as they
// are, DisableCache aside.
func ClientOption(opt rueidis.ClientOption, opts ...Option) (rueidis.ClientOption, error) {
	cfg, _, err := resolve("any", opts)
	if err != nil {
		return opt, err
	}
	return tuned(opt, cfg), nil
}

// tuned does what ClientOption does, for callers that have a config.
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
