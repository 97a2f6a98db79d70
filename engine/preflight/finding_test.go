package preflight

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
)

// findings returns the report on made-up nodes, without a server: versions and clocks that no test can have.
func findings(t *testing.T, look func(c *check), nodes ...*node) *Report {
	layout, err := cluster.NewLayout("orders", 16)
	require.NoError(t, err)
	c := &check{Report: &Report{Service: "orders"}, nodes: nodes,
		Terms: Terms{Layout: layout, SessionTTL: 10 * time.Second, LeaseTTL: 30 * time.Second, Timeout: time.Second}}
	look(c)
	c.finish()
	return c.Report
}

func TestVersions(t *testing.T) {
	for _, test := range []struct {
		info     map[string]string
		severity Severity
		seen     string
	}{
		{map[string]string{"redis_version": "5.0.14"}, Fatal, "Redis 5.0.14 is too old"},
		{map[string]string{"redis_version": "6.0.16"}, Fatal, "Redis 6.0.16 is too old"},
		{map[string]string{"redis_version": "6.2.0"}, Note, "Redis 6.2.0"},
		{map[string]string{"redis_version": "10.1.2"}, Note, "Redis 10.1.2"},
		{map[string]string{"redis_version": "7.2.4", "valkey_version": "8.1.1", "server_name": "valkey"}, Note, "Valkey 8.1.1"},
		{map[string]string{"redis_version": "7.2.0", "dragonfly_version": "df-v1.20"}, Warning, "dragonfly df-v1.20: this library was not tested with it"},
		{map[string]string{"redis_version": "7.2.0", "server_name": "other"}, Warning, "other 7.2.0: this library was not tested with it"},
		{map[string]string{"redis_version": ""}, Note, "Redis : the version is unknown"},
	} {
		n := &node{addr: "a:1", info: test.info}
		r := findings(t, func(c *check) { c.server(n) }, n)
		require.Len(t, r.Findings, 1)
		require.Equal(t, test.severity, r.Findings[0].Severity)
		require.Equal(t, test.seen, r.Findings[0].Seen)
	}
}

func TestClocks(t *testing.T) {
	trips := []time.Duration{time.Millisecond}
	at := func(addr string, ahead, unsure time.Duration) *node {
		return &node{addr: addr, trips: trips, ahead: ahead, unsure: unsure}
	}
	look := func(nodes ...*node) []Finding { return findings(t, (*check).clocks, nodes...).Findings }

	require.Empty(t, look(at("a:1", 900*time.Millisecond, 0)), "one server, and near enough")
	require.Empty(t, look(at("a:1", 1200*time.Millisecond, 300*time.Millisecond)), "within what is not known")
	require.Empty(t, look(&node{addr: "a:1"}), "nothing was measured")

	one := look(at("a:1", -2*time.Second, time.Millisecond))
	require.Len(t, one, 1)
	require.Equal(t, Note, one[0].Severity)
	require.Contains(t, one[0].Seen, "2s behind that of this host")

	near := look(at("a:1", 0, 0), at("b:1", 500*time.Millisecond, 0), at("c:1", 100*time.Millisecond, 0))
	require.Len(t, near, 1)
	require.Equal(t, Note, near[0].Severity)
	require.Contains(t, near[0].Seen, "a:1 and b:1 are 500ms apart")

	far := look(at("a:1", -3*time.Second, 0), at("b:1", 2100*time.Millisecond, 0))
	require.Equal(t, Warning, far[0].Severity)
	require.Contains(t, far[0].Seen, "a:1 and b:1 are 5.1s apart")
	require.Contains(t, far[0].Do, "two owners")
	require.Len(t, far, 3, "each is away from this host, too")
}

func TestLatency(t *testing.T) {
	look := func(trips ...time.Duration) []Finding {
		return findings(t, (*check).latency, &node{addr: "a:1", trips: trips}).Findings
	}
	require.Equal(t, Note, look(time.Millisecond, 2*time.Millisecond, 900*time.Millisecond)[0].Severity)
	require.Equal(t, Fatal, look(time.Millisecond, 2*time.Second, 3*time.Second)[0].Severity, "half of them take longer than a call may")
	require.Equal(t, Warning, look(time.Millisecond, time.Millisecond, time.Second)[0].Severity, "one took too long")
	require.Equal(t, Warning, look(250 * time.Millisecond)[0].Severity, "a quarter of the timeout")
	require.Empty(t, look())
}

// Slots that no master serves are found; partitions in them cannot work.
func TestUnservedPartitions(t *testing.T) {
	thirds := cluster.EvenOwners(3)
	two := func(slot uint16) int {
		if thirds(slot) == 2 {
			return -1
		}
		return thirds(slot)
	}
	r := findings(t, func(c *check) { c.masters, c.owners = []string{"a:1", "b:1"}, two; c.spread() })
	require.ErrorContains(t, r.Err(), "of 16 partitions are in slots that no master serves")
	require.Equal(t, 16, r.Spread.OnMaster[0]+r.Spread.OnMaster[1]+r.Spread.Unserved)
	r = findings(t, func(c *check) { c.owners = func(uint16) int { return -1 }; c.spread() })
	require.ErrorContains(t, r.Err(), "no master has slots")
}

// What several nodes have in common is one finding; the worst come first; JSON has names.
func TestReport(t *testing.T) {
	r := &Report{}
	r.add(Note, Server, "a:1", "seen", "")
	r.add(Note, Server, "b:1", "seen", "")
	r.add(Note, Server, "b:1", "seen", "")
	r.add(Fatal, Rights, "b:1", "lacks", "Grant")
	r.finish()
	require.Equal(t, "fatal: rights: lacks [b:1]. Grant\nnote: server: seen [a:1 b:1]\n", r.String())
	require.EqualError(t, r.Err(), "fatal: rights: lacks [b:1]. Grant")
	text, err := Warning.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "warning", string(text))
	require.Equal(t, "invalid", Severity(0).String())
}
