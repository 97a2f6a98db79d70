package memory

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// ofServers are commands that have to do with the server as a whole; scripts may call most.
var ofServers map[string]func(d *dataset, args []string, resp3 bool) stream.Reply

func init() {
	ofServers = map[string]func(d *dataset, args []string, resp3 bool) stream.Reply{
		"INFO":    func(d *dataset, args []string, _ bool) stream.Reply { return d.info(args[1:]) },
		"TIME":    func(d *dataset, _ []string, _ bool) stream.Reply { return d.time() },
		"CONFIG":  func(d *dataset, args []string, _ bool) stream.Reply { return d.configure(args) },
		"PUBLISH": publish,
		"PUBSUB":  func(d *dataset, args []string, _ bool) stream.Reply { return d.owner.pubsub(args) },
		"ROLE": func(*dataset, []string, bool) stream.Reply {
			return []stream.Reply{"master", int64(0), []stream.Reply{}}
		},
		"CLUSTER": func(*dataset, []string, bool) stream.Reply {
			return stream.Error("ERR This instance has cluster support disabled")
		},
		"ACL":      acl,
		"COMMAND":  command,
		"FLUSHALL": flush,
		"FLUSHDB":  flush,
		"EVAL":     func(d *dataset, args []string, _ bool) stream.Reply { return d.scripts.eval(args) },
		"EVALSHA":  func(d *dataset, args []string, _ bool) stream.Reply { return d.scripts.eval(args) },
		"SCRIPT":   func(d *dataset, args []string, _ bool) stream.Reply { return d.scripts.script(args) },
		"SAVE":     unkept,
		"BGSAVE":   unkept,
	}
}

func (d *dataset) time() stream.Reply {
	return []stream.Reply{strconv.FormatInt(d.now.Unix(), 10), strconv.Itoa(d.now.Nanosecond() / 1000)}
}

func publish(d *dataset, args []string, _ bool) stream.Reply {
	if len(args) != 3 {
		return errArity(args[0])
	}
	return d.owner.publish(args[1], args[2])
}

func flush(d *dataset, args []string, resp3 bool) stream.Reply {
	for i, arg := range args {
		if strings.EqualFold(arg, "SYNC") {
			args = slices.Delete(slices.Clone(args), i, i+1)
			break
		}
	}
	reply := d.plain(args, resp3)
	if reply == raw("+OK\r\n") {
		clear(d.streams)
		clear(d.sets)
	}
	return reply
}

func unkept(*dataset, []string, bool) stream.Reply {
	return stream.Error("ERR this server in memory has no disk")
}

// acl says that there is one user, who may do everything.
func acl(_ *dataset, args []string, _ bool) stream.Reply {
	switch {
	case len(args) < 2:
		return errArity(args[0])
	case strings.EqualFold(args[1], "WHOAMI"):
		return "default"
	case strings.EqualFold(args[1], "LIST"):
		return []stream.Reply{"user default on nopass ~* &* +@all"}
	case strings.EqualFold(args[1], "USERS"):
		return []stream.Reply{"default"}
	case strings.EqualFold(args[1], "DRYRUN"):
		return ok
	}
	return errorf("ERR ACL %s is not supported by this server in memory: it has one user, who may do everything", strings.ToUpper(args[1]))
}

// command describes no commands: redis-cli asks, and can do without.
func command(d *dataset, args []string, _ bool) stream.Reply {
	switch {
	case len(args) == 1:
		return []stream.Reply{}
	case strings.EqualFold(args[1], "DOCS"):
		return stream.Map{}
	case strings.EqualFold(args[1], "COUNT"):
		return int64(0)
	}
	return errorf("ERR COMMAND %s is not supported by this server in memory", strings.ToUpper(args[1]))
}

// settings are what CONFIG GET finds, at the start.
func settings() map[string]string {
	return map[string]string{"notify-keyspace-events": "", "maxmemory": "0", "maxmemory-policy": "noeviction", "save": "",
		"appendonly": "no", "appendfsync": "everysec", "timeout": "0", "databases": "1", "min-replicas-to-write": "0",
		"min-replicas-max-lag": "10", "cluster-enabled": "no", "cluster-node-timeout": "15000", "proto-max-bulk-len": strconv.Itoa(maxBulk),
		"stream-node-max-bytes": "4096", "stream-node-max-entries": "100", "maxclients": "10000", "lua-time-limit": "5000"}
}

// configure runs CONFIG. One setting can be changed: what is published about keys.
func (d *dataset) configure(args []string) stream.Reply {
	config := d.owner.config
	if len(args) < 2 {
		return errArity(args[0])
	}
	switch sub := strings.ToUpper(args[1]); {
	case sub == "GET" && len(args) > 2:
		found := stream.Map{}
		for _, name := range slices.Sorted(maps.Keys(config)) {
			if slices.ContainsFunc(args[2:], func(p string) bool { return matches(strings.ToLower(p), name) }) {
				found = append(found, name, config[name])
			}
		}
		return found
	case sub == "SET" && len(args) > 2 && len(args)%2 == 0:
		for i := 2; i < len(args); i += 2 {
			if name := strings.ToLower(args[i]); name != "notify-keyspace-events" {
				return errorf("ERR CONFIG SET failed (possibly related to argument '%s') - not supported by this server in memory", args[i])
			}
		}
		flags, wrong := normalized(args[len(args)-1])
		if wrong {
			return stream.Error("ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
		}
		config["notify-keyspace-events"] = flags
		return ok
	case sub == "RESETSTAT":
		d.count = counts{}
		return ok
	case sub == "GET", sub == "SET":
		return errArity("config|" + sub)
	}
	return errSubcommand(args)
}

// normalized returns flags of notify-keyspace-events as CONFIG GET shows them.
func normalized(flags string) (out string, wrong bool) {
	const all, order = "g$lshzxetd", "g$lshzxet"
	if strings.Trim(flags, "Ag$lshzxeKEtmdn") != "" {
		return "", true
	}
	has := func(f rune) bool {
		return strings.ContainsRune(flags, f) || strings.ContainsRune(flags, 'A') && strings.ContainsRune(all, f)
	}
	if !strings.ContainsFunc(all, func(f rune) bool { return !has(f) }) {
		out = "A"
	} else {
		for _, f := range order {
			if has(f) {
				out += string(f)
			}
		}
		if has('d') {
			out += "d"
		}
	}
	for _, f := range "KEmn" {
		if has(f) {
			out += string(f)
		}
	}
	return out, false
}

// version is the version of Redis that the server claims to be: its streams and replies are those of that version.
const version = "7.0.15"

// runID returns forty hexadecimal digits that differ for each n.
func runID(n int) string { return fmt.Sprintf("%040x", n) }

// info returns the sections of INFO that are asked for, as far as there is something to say.
func (d *dataset) info(asked []string) string {
	s := d.owner
	sections := []struct{ name, text string }{
		{"Server", fmt.Sprintf("redis_version:%s\r\nredis_mode:standalone\r\nos:memory\r\nprocess_id:%d\r\nrun_id:%s\r\ntcp_port:6379\r\nuptime_in_seconds:%d\r\n",
			version, s.pid, d.id, int64(d.now.Sub(s.started).Seconds()))},
		{"Clients", fmt.Sprintf("connected_clients:%d\r\nblocked_clients:%d\r\n", len(s.conns), len(s.waiting))},
		{"Memory", "used_memory:1048576\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"},
		{"Persistence", "loading:0\r\nrdb_last_bgsave_status:ok\r\naof_enabled:0\r\n"},
		{"Stats", fmt.Sprintf("total_connections_received:%d\r\nexpired_keys:0\r\nevicted_keys:0\r\n", s.connections)},
		{"Replication", "role:master\r\nconnected_slaves:0\r\nmaster_replid:" + d.id + "\r\n"},
		{"Cluster", "cluster_enabled:0\r\n"},
		{"Keyspace", d.keyspace()},
		{"Commandstats", d.count.stats()},
		{"Errorstats", d.count.errorStats()},
	}
	var b strings.Builder
	for _, section := range sections {
		if wanted(asked, section.name) {
			fmt.Fprintf(&b, "# %s\r\n%s\r\n", section.name, section.text)
		}
	}
	return strings.TrimSuffix(b.String(), "\r\n")
}

func (d *dataset) keyspace() string {
	if n := len(d.mini.Keys()); n > 0 {
		return fmt.Sprintf("db0:keys=%d,expires=0,avg_ttl=0\r\n", n)
	}
	return ""
}

func wanted(asked []string, name string) bool {
	usual := name != "Commandstats"
	if len(asked) == 0 {
		return usual
	}
	return slices.ContainsFunc(asked, func(s string) bool {
		switch s = strings.ToLower(s); s {
		case "all", "everything":
			return true
		case "default":
			return usual
		default:
			return s == strings.ToLower(name)
		}
	})
}
