package preflight

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/test/servers"
)

// call runs the subcommand as part of a command, and returns what it wrote.
func call(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	var text strings.Builder
	c := &cli.Command{
		Name: "test", Writer: &text, ErrWriter: &text, Flags: []cli.Flag{address.Flag()},
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Commands:       []*cli.Command{Command(&cli.StringFlag{Name: "service"}, &cli.IntFlag{Name: "partitions"}, &cli.BoolFlag{Name: "json"})},
	}
	err = c.Run(t.Context(), append([]string{"test", "preflight"}, args...))
	return text.String(), err
}

// requireUsage fails unless the arguments make no sense to the subcommand, which says so.
func requireUsage(t *testing.T, says string, args ...string) {
	t.Helper()
	_, err := call(t, args...)
	require.ErrorAs(t, err, new(UsageError), "%v", args)
	require.ErrorContains(t, err, says)
}

func TestPreflightReports(t *testing.T) {
	s := servers.New(t)
	out, err := call(t, "-redis", "redis://"+s.Addr(), "--service", "orders")
	require.NoError(t, err)
	require.Contains(t, out, "nothing is kept on disk")
	require.Contains(t, out, s.Addr())

	out, err = call(t, "-redis", "redis://"+s.Addr(), "--service", "orders", "--expired", "--json")
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
	out, err := call(t, "-redis", "redis://"+s.Addr(), "--service", "orders")
	require.NoError(t, err)
	require.Contains(t, out, "service orders has 4 partitions")
	out, err = call(t, "-redis", "redis://"+s.Addr(), "--service", "orders", "--partitions", "16")
	require.Error(t, err)
	require.Contains(t, out, "WithPartitions(4)")
	require.EqualError(t, err, "engines cannot work like this")
}

// With data streams it checks what reading them takes, too.
func TestPreflightOfReading(t *testing.T) {
	s := servers.New(t)
	_, err := s.Call(t.Context(), "ACL", "SETUSER", "chat", "on", ">secret", "~orders-input", "~{orders-input}*", "~events:*", "+@all", "-client|tracking", "-xtrim")
	require.NoError(t, err)
	at := []string{"-redis", "redis://chat:secret@" + s.Addr(), "--service", "orders"}
	out, err := call(t, at...)
	require.NoError(t, err)
	require.NotContains(t, out, "CLIENT TRACKING")
	out, err = call(t, append(at, "--reads", "events:*", "--trim")...)
	require.NoError(t, err)
	require.Contains(t, out, "may not run CLIENT TRACKING: each stream is read every 1s")
	require.Contains(t, out, "ACL SETUSER chat +client|tracking")
	require.Contains(t, out, "ACL SETUSER chat +xtrim")
	out, err = call(t, append(at, "--reads", "events:*", "--reads", "audit", "--mode", "tracking")...)
	require.Error(t, err)
	require.Contains(t, out, "may not read the data streams audit")
	require.Contains(t, out, "a feed with Mode Tracking does not run")
	require.NotContains(t, out, "XTRIM")

	requireUsage(t, "--reads", append(at, "--trim")...)
	requireUsage(t, "use auto, tracking or polling", append(at, "--reads", "a", "--mode", "both")...)
	out, err = call(t, "--rules", "--service", "orders", "--reads", "events:*", "--trim", "-redis", "redis://127.0.0.1:1")
	require.NoError(t, err)
	require.Contains(t, out, "~events:* +xread +xinfo|stream +exists +xtrim +client|tracking")
}

func TestPreflightPrintsRules(t *testing.T) {
	out, err := call(t, "--rules", "--service", "orders", "--partitions", "16", "-redis", "redis://127.0.0.1:1")
	require.NoError(t, err)
	require.Contains(t, out, "ACL SETUSER orders on >password resetchannels ~orders-input ~{orders-input}* ~orders-input-* ~{orders-input-* +ping")
	out, err = call(t, "--rules", "--service", "orders", "-redis", "redis://engine@127.0.0.1:1")
	require.NoError(t, err)
	require.Contains(t, out, "ACL SETUSER engine on >password")
	requireUsage(t, "service", "--rules", "--service", "or{ders")
	requireUsage(t, "-service is missing", "--rules")
	requireUsage(t, "WithSessionTTL", "--service", "orders", "--session-ttl", "1ns")
}
