package memory

import (
	"fmt"
	"strings"
)

// version is the version of Redis that the server claims to be: its streams and replies are those of that version.
const version = "7.0.15"

// runID returns forty hexadecimal digits that differ for each n.
func runID(n int) string { return fmt.Sprintf("%040x", n) }

// info returns the sections of INFO that are asked for, as far as there is something to say.
func (d *dataset) info(sections []string) string {
	all := map[string]string{
		"server":      "redis_version:" + version + "\r\nredis_mode:standalone\r\nos:memory\r\nrun_id:" + d.id + "\r\ntcp_port:6379\r\n",
		"memory":      "used_memory:1048576\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n",
		"persistence": "loading:0\r\nrdb_last_bgsave_status:ok\r\naof_enabled:0\r\n",
		"replication": "role:master\r\nconnected_slaves:0\r\nmaster_replid:" + d.id + "\r\n",
		"cluster":     "cluster_enabled:0\r\n",
	}
	var b strings.Builder
	for _, name := range []string{"server", "memory", "persistence", "replication", "cluster"} {
		if len(sections) == 0 || wanted(sections, name) {
			fmt.Fprintf(&b, "# %s\r\n%s\r\n", strings.ToUpper(name[:1])+name[1:], all[name])
		}
	}
	return b.String()
}

func wanted(sections []string, name string) bool {
	for _, s := range sections {
		switch strings.ToLower(s) {
		case name, "all", "default", "everything":
			return true
		}
	}
	return false
}
