package engine

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// warnOfEviction asks each master once what it does when its memory is full, and warns of those that evict keys: leases, or
// announcements, would vanish. It uses the right to INFO that settling needs, and looks no further where that is refused. A master
// that does not answer is left out: nothing depends on this.
func warnOfEviction(ctx context.Context, e *env, client rueidis.Client) {
	if client == nil || !e.cfg.settle {
		return
	}
	var group sync.WaitGroup
	for address, node := range client.Nodes() {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, e.cfg.timeout)
			defer cancel()
			role, err := info(ctx, node, "replication", "role")
			if err != nil || role["role"] != "master" {
				e.log.Debug("not asked for its memory policy", "server", address, "role", role["role"], "err", lease.Explain(err))
				return
			}
			memory, err := info(ctx, node, "memory", "maxmemory", "maxmemory_policy")
			if err != nil {
				e.log.Debug("not asked for its memory policy", "server", address, "err", lease.Explain(err))
				return
			}
			e.reportEviction(address, memory["maxmemory_policy"], memory["maxmemory"])
		})
	}
	group.Wait()
}

// reportEviction warns of a policy that evicts keys. Without a limit of memory it evicts none yet.
func (e *env) reportEviction(address, policy, limit string) {
	if policy == "" || policy == "noeviction" {
		return
	}
	const remedy = "set maxmemory-policy to noeviction, or use a server of its own"
	if bytes, _ := strconv.ParseInt(limit, 10, 64); bytes == 0 {
		e.log.Info("a server would evict keys, once it has a maxmemory", "server", address, "policy", policy, "remedy", remedy)
		return
	}
	what := "leases, so streams are disowned"
	if strings.HasPrefix(policy, "allkeys") {
		what = "leases and announcements, so streams are lost"
	}
	e.log.Warn("a server evicts keys when its memory is full", 1, "server", address, "policy", policy, "maxmemory", limit,
		"evicts", what, "remedy", remedy)
}

// info returns some fields of a section of INFO.
func info(ctx context.Context, node rueidis.Client, section string, fields ...string) (map[string]string, error) {
	text, err := node.Do(ctx, node.B().Info().Section(section).Build()).ToString()
	found := make(map[string]string)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		for _, f := range fields {
			if name == f {
				found[f] = value
			}
		}
	}
	return found, err
}
