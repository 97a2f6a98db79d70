package preflight

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind returns what a server is, and its version.
func (n *node) kind() (name, version string) {
	for _, other := range []string{"dragonfly_version", "kvrocks_version"} {
		if v := n.info[other]; v != "" {
			name, _, _ = strings.Cut(other, "_")
			return name, v
		}
	}
	if v := n.info["valkey_version"]; v != "" {
		return "Valkey", v
	}
	if name := n.info["server_name"]; name != "" && name != "redis" {
		return name, n.info["redis_version"]
	}
	return "Redis", n.info["redis_version"]
}

// oldestMajor and oldestMinor are the oldest version that has what the scripts need: XPENDING with IDLE, exclusive ranges, XGROUP
// CREATECONSUMER.
const oldestMajor, oldestMinor = 6, 2

// server reports the kind and version of a node.
func (c *check) server(n *node) {
	kind, version := n.kind()
	seen := kind + " " + version
	if kind != "Redis" && kind != "Valkey" {
		c.add(Warning, Server, n.addr, seen+": this library was not tested with it", "Test its failovers and restarts before you rely on one owner at a time")
		return
	}
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		c.add(Note, Server, n.addr, seen+": the version is unknown", "")
		return
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	if kind == "Redis" && (major < oldestMajor || major == oldestMajor && minor < oldestMinor) {
		c.add(Fatal, Server, n.addr, seen+" is too old", fmt.Sprintf("Use Redis %d.%d or newer, or Valkey", oldestMajor, oldestMinor))
		return
	}
	c.add(Note, Server, n.addr, seen, "")
}

// full is the share of maxmemory above which there is little time left to act.
const full = 0.9

// eviction reports what a node does when its memory is full, and whether that is near.
func (c *check) eviction(n *node) {
	policy, limit, used := n.info["maxmemory_policy"], n.number("maxmemory"), n.number("used_memory")
	if policy == "" {
		return
	}
	if policy != "noeviction" {
		severity, when := Note, "once there is a maxmemory"
		if limit > 0 {
			severity, when = Warning, fmt.Sprintf("when %s are full", size(limit))
		}
		what := "leases, which have a TTL: streams are disowned"
		if strings.HasPrefix(policy, "allkeys") {
			what = "anything, announcements included: streams are lost"
		}
		c.add(severity, Eviction, n.addr, fmt.Sprintf("maxmemory-policy is %s: %s the server evicts %s", policy, when, what),
			"Set maxmemory-policy to noeviction, or use a separate server")
	}
	if limit > 0 && float64(used) > full*float64(limit) {
		c.add(Warning, Eviction, n.addr, fmt.Sprintf("%s of %s of maxmemory are in use", size(used), size(limit)),
			"Raise maxmemory or free memory: a full server takes no announcements and grants no leases")
	}
}

// size formats a number of bytes for people.
func size(bytes int64) string {
	if bytes < 1<<20 {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// persistence reports what a restart of a node loses.
func (c *check) persistence(n *node) {
	if n.info["loading"] == "1" {
		c.add(Note, Persistence, n.addr, "the server is loading its data", "Wait, as engines do")
	}
	if n.info["rdb_last_bgsave_status"] == "err" || n.info["aof_last_write_status"] == "err" {
		c.add(Warning, Persistence, n.addr, "the last write to disk failed", "Look at the server's disk and log: it may refuse all writes (MISCONF)")
	}
	save, known := n.config["save"]
	sync := n.config["appendfsync"]
	switch {
	case n.info["aof_enabled"] == "1" && sync == "always":
		c.add(Note, Persistence, n.addr, "append-only file, written before each answer", "")
	case n.info["aof_enabled"] == "1" && sync == "no":
		c.add(Note, Persistence, n.addr, "append-only file, written when the operating system decides: a host that dies forgets up to half a minute", "")
	case n.info["aof_enabled"] == "1":
		c.add(Note, Persistence, n.addr, "append-only file: a host that dies forgets about a second", "")
	case n.info["aof_enabled"] == "" || !known:
		c.add(Note, Persistence, n.addr, "no append-only file; whether there are snapshots is unknown, since CONFIG is refused", "")
	case save != "":
		c.add(Warning, Persistence, n.addr, fmt.Sprintf("snapshots alone (save %s): a restart forgets the announcements since the last one", save),
			"Turn appendonly on, unless you can afford to lose announcements")
	default:
		c.add(Warning, Persistence, n.addr, "nothing is kept on disk: a restart forgets all announcements, and so do the replicas",
			"Turn appendonly on, unless you can afford to lose announcements")
	}
}

// minLagShare is the share of the session TTL that min-replicas-max-lag must not exceed, as 1/minLagShare, so that a master that
// was cut off stops in time.
const minLagShare = 2

// replicas reports who can take over from a node, and whether it stops in time once it is demoted.
func (c *check) replicas(n *node) {
	if n.replica() {
		if n.info["master_link_status"] == "down" {
			c.add(Warning, Replicas, n.addr, "the link to its master is down", "Check both: this replica cannot take over with what the master has now")
		}
		return
	}
	count := n.number("connected_slaves")
	want, known := n.config["min-replicas-to-write"]
	atLeast, _ := strconv.ParseInt(want, 10, 64)
	good, counted := n.info["min_slaves_good_slaves"]
	if g, _ := strconv.ParseInt(good, 10, 64); counted && known && atLeast > g {
		c.add(Fatal, Replicas, n.addr, fmt.Sprintf("min-replicas-to-write is %d and %d replicas are in step: every write is refused (NOREPLICAS)", atLeast, g),
			"Bring the replicas back, or lower min-replicas-to-write")
	}
	inCluster := n.info["cluster_enabled"] == "1"
	switch {
	case count == 0 && inCluster:
		c.add(Warning, Replicas, n.addr, "a master without a replica: its partitions stop when it dies", "Give it a replica")
	case count == 0:
		c.add(Note, Replicas, n.addr, "no replicas: everything stops while this server is down", "")
	case inCluster:
		c.add(Note, Replicas, n.addr, fmt.Sprintf("replicas: %d", count), "")
	default:
		c.add(Note, Replicas, n.addr, fmt.Sprintf("replicas: %d; they were not checked", count), "Give them the same users: one of them may become the master")
	}
	// A demoted master of a cluster stops by itself.
	if count == 0 || inCluster {
		return
	}
	if !known {
		c.add(Note, Replicas, n.addr, "whether min-replicas-to-write is set is unknown, since CONFIG is refused",
			"Make sure that it is at least 1, with min-replicas-max-lag below the session TTL")
		return
	}
	lag, _ := strconv.ParseInt(n.config["min-replicas-max-lag"], 10, 64)
	maxLag := time.Duration(lag) * time.Second
	switch {
	case atLeast == 0:
		c.add(Warning, Replicas, n.addr, "min-replicas-to-write is 0: a master that is cut off still takes writes while another is promoted, so streams may have two owners",
			fmt.Sprintf("Set min-replicas-to-write to 1 and min-replicas-max-lag below the session TTL of %v", c.SessionTTL))
	case maxLag > c.SessionTTL/minLagShare:
		c.add(Warning, Replicas, n.addr, fmt.Sprintf("min-replicas-max-lag is %v, beyond half of the session TTL of %v: a master that is cut off takes writes for too long", maxLag, c.SessionTTL),
			"Lower min-replicas-max-lag, or use a longer WithSessionTTL")
	}
}
