package measure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Usage is what the masters behind a client have used since they started, for all of their clients together.
type Usage struct {
	CPU       time.Duration // user and system
	BytesIn   int64         // from clients
	BytesOut  int64         // to clients
	Processed int64         // commands, including those that scripts call
	Memory    int64         // bytes in use now, without the buffers of clients
	Allocated int64         // bytes in use now, with them
	Clients   int64         // connections now
	Blocked   int64         // of these, those that wait in a blocking command
	Calls     Commands      // likewise, by name
	// Ran is how long commands executed, by name; that of a script includes the commands that it calls.
	Ran     map[string]time.Duration
	Version string // of the server
	Cluster bool
	Masters int
}

// ReadUsage asks every node, and sums up the masters. It costs one INFO a node.
func ReadUsage(ctx context.Context, client rueidis.Client) (Usage, error) {
	u := Usage{Calls: make(Commands), Ran: make(map[string]time.Duration)}
	for addr, node := range client.Nodes() {
		text, err := node.Do(ctx, node.B().Info().Section("all").Build()).ToString()
		if err != nil {
			return u, fmt.Errorf("asking %s for its usage: %w", addr, err)
		}
		fields := infoFields(text)
		if fields["role"] != "master" {
			continue
		}
		u.Masters++
		u.Cluster = fields["cluster_enabled"] == "1"
		u.Version = fields["redis_version"]
		if valkey := fields["valkey_version"]; valkey != "" {
			u.Version += " (Valkey " + valkey + ")"
		}
		if err := u.add(fields); err != nil {
			return u, fmt.Errorf("what %s says of its usage: %w", addr, err)
		}
	}
	if u.Masters == 0 {
		return u, errors.New("none of the servers is a master")
	}
	return u, nil
}

func infoFields(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

func (u *Usage) add(fields map[string]string) (err error) {
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, failed := strconv.ParseFloat(fields[name], 64)
		err = errors.Join(err, failed)
		u.CPU += time.Duration(seconds * float64(time.Second))
	}
	for name, sum := range map[string]*int64{
		"total_net_input_bytes": &u.BytesIn, "total_net_output_bytes": &u.BytesOut, "total_commands_processed": &u.Processed,
	} {
		n, failed := strconv.ParseInt(fields[name], 10, 64)
		err = errors.Join(err, failed)
		*sum += n
	}
	for name, sign := range map[string]int64{"used_memory": 1, "mem_clients_normal": -1} {
		if fields[name] == "" && sign < 0 {
			continue // a version that does not tell
		}
		n, failed := strconv.ParseInt(fields[name], 10, 64)
		err = errors.Join(err, failed)
		u.Memory += sign * n
	}
	for name, sum := range map[string]*int64{"used_memory": &u.Allocated, "connected_clients": &u.Clients, "blocked_clients": &u.Blocked} {
		n, failed := strconv.ParseInt(fields[name], 10, 64)
		err = errors.Join(err, failed)
		*sum += n
	}
	for name, value := range fields {
		command, ok := strings.CutPrefix(name, "cmdstat_")
		if !ok {
			continue
		}
		command, _, _ = strings.Cut(command, "|")
		calls, rest, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		spent, _, _ := strings.Cut(strings.TrimPrefix(rest, "usec="), ",")
		n, failed := strconv.ParseInt(calls, 10, 64)
		usec, failed2 := strconv.ParseInt(spent, 10, 64)
		err = errors.Join(err, failed, failed2)
		u.Calls[command] += n
		u.Ran[command] += time.Duration(usec) * time.Microsecond
	}
	return err
}

// Since returns what was used after an earlier reading; of memory and connections, how much more there is.
func (u Usage) Since(earlier Usage) Usage {
	u.CPU -= earlier.CPU
	u.BytesIn -= earlier.BytesIn
	u.BytesOut -= earlier.BytesOut
	u.Processed -= earlier.Processed
	u.Memory -= earlier.Memory
	u.Allocated -= earlier.Allocated
	u.Clients -= earlier.Clients
	u.Blocked -= earlier.Blocked
	u.Calls = u.Calls.Since(earlier.Calls)
	ran := make(map[string]time.Duration)
	for name, d := range u.Ran {
		ran[name] = d - earlier.Ran[name]
	}
	u.Ran = ran
	return u
}

// Sent returns the calls of these commands, which is what clients sent if they send no others and scripts call none of these.
func (u Usage) Sent(names ...string) Commands {
	c := maps.Clone(u.Calls)
	maps.DeleteFunc(c, func(name string, _ int64) bool {
		for _, n := range names {
			if n == name {
				return false
			}
		}
		return true
	})
	return c
}

// SentByEngine returns the commands that an engine and its client send and none of its scripts calls.
func SentByEngine() []string { return sent }
