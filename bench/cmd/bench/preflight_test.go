package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

func TestPreflightReports(t *testing.T) {
	parallel(t)
	s := servers.New(t)
	out, err := bench(t, "preflight", "-redis", "redis://"+s.Addr(), "--service", "orders")
	require.NoError(t, err)
	require.Contains(t, out, "nothing is kept on disk")
	require.Contains(t, out, s.Addr())

	out, err = bench(t, "preflight", "-redis", "redis://"+s.Addr(), "--service", "orders", "--expired", "--json")
	require.NoError(t, err)
	var report struct {
		Service  string
		Findings []struct{ Severity, Subject, Seen, Do string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Equal(t, "orders", report.Service)
	subjects := map[string]string{}
	for _, f := range report.Findings {
		subjects[f.Subject] = f.Severity
	}
	require.Equal(t, "warning", subjects[string(preflight.Events)])
}

// Without a number of partitions it uses that of the service. It fails where engines would.
func TestPreflightFailsOnWhatCannotWork(t *testing.T) {
	parallel(t)
	s := servers.New(t)
	_, err := s.Call(t.Context(), "HSET", "{orders-input}:meta", "format", "1", "partitions", "4")
	require.NoError(t, err)
	out, err := bench(t, "preflight", "-redis", "redis://"+s.Addr(), "--service", "orders")
	require.NoError(t, err)
	require.Contains(t, out, "service orders has 4 partitions")
	out, err = bench(t, "preflight", "-redis", "redis://"+s.Addr(), "--service", "orders", "--partitions", "16")
	require.Error(t, err)
	require.Contains(t, out, "WithPartitions(4)")
	require.Contains(t, out, "engines cannot work like this")
}

// With data streams it checks what reading them takes, too.
func TestPreflightOfReading(t *testing.T) {
	parallel(t)
	s := servers.New(t)
	_, err := s.Call(t.Context(), "ACL", "SETUSER", "chat", "on", ">secret", "~orders-input", "~{orders-input}*", "~events:*", "+@all", "-client|tracking", "-xtrim")
	require.NoError(t, err)
	at := []string{"preflight", "-redis", "redis://chat:secret@" + s.Addr(), "--service", "orders"}
	out, err := bench(t, at...)
	require.NoError(t, err)
	require.NotContains(t, out, "CLIENT TRACKING")
	out, err = bench(t, append(at, "--reads", "events:*", "--trim")...)
	require.NoError(t, err)
	require.Contains(t, out, "may not run CLIENT TRACKING: each stream is read every 1s")
	require.Contains(t, out, "ACL SETUSER chat +client|tracking")
	require.Contains(t, out, "ACL SETUSER chat +xtrim")
	out, err = bench(t, append(at, "--reads", "events:*", "--reads", "audit", "--mode", "tracking")...)
	require.Error(t, err)
	require.Contains(t, out, "may not read the data streams audit")
	require.Contains(t, out, "a feed with Mode Tracking does not run")
	require.NotContains(t, out, "XTRIM")

	out, err = bench(t, append(at, "--trim")...)
	require.Error(t, err)
	require.Contains(t, out, "--reads")
	out, err = bench(t, append(at, "--reads", "a", "--mode", "both")...)
	require.Error(t, err)
	require.Contains(t, out, "use auto, tracking or polling")
	out, err = bench(t, "preflight", "--rules", "--service", "orders", "--reads", "events:*", "--trim", "-redis", "redis://127.0.0.1:1")
	require.NoError(t, err)
	require.Contains(t, out, "~events:* +xread +xinfo|stream +exists +xtrim +client|tracking")
}

func TestPreflightPrintsRules(t *testing.T) {
	parallel(t)
	out, err := bench(t, "preflight", "--rules", "--service", "orders", "--partitions", "16", "-redis", "redis://127.0.0.1:1")
	require.NoError(t, err)
	require.Contains(t, out, "ACL SETUSER orders on >password resetchannels ~orders-input ~{orders-input}* ~orders-input-* ~{orders-input-* +ping")
	out, err = bench(t, "preflight", "--rules", "--service", "orders", "-redis", "redis://engine@127.0.0.1:1")
	require.NoError(t, err)
	require.Contains(t, out, "ACL SETUSER engine on >password")
	out, err = bench(t, "preflight", "--rules", "--service", "or{ders")
	require.Error(t, err)
	require.Contains(t, out, "service")
}
