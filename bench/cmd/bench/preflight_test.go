package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

func TestPreflightReports(t *testing.T) {
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

func TestPreflightPrintsRules(t *testing.T) {
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
