package preflight

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/redis/rueidis"
	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/scan"
)

// UsageError is the error of a command line that makes no sense.
type UsageError struct{ error }

// Unwrap returns what is wrong with it.
func (e UsageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Command returns the subcommand. It writes to the writer of the root command. The flags service, partitions and json are those of the
// command that it is part of, else those in more: a string, an integer and a bool. Errors are a UsageError for arguments that make no sense,
// and others where the servers were out of reach, or engines cannot work there.
func Command(more ...cli.Flag) *cli.Command {
	return &cli.Command{
		Name:        "preflight",
		Usage:       "check servers before engines use them, and say what to do; writes nothing, fails if engines cannot work there",
		Description: address.Help,
		Flags: append(more,
			&cli.DurationFlag{Name: "session-ttl", Usage: "as WithSessionTTL; 0: the default"},
			&cli.DurationFlag{Name: "lease-ttl", Usage: "as WithLeaseTTL; 0: the default"},
			&cli.BoolFlag{Name: "expired", Usage: "engines will use WithExpired"},
			&cli.StringSliceFlag{Name: "reads", Usage: "data streams that engine/feed will read there: a name, or what names begin with, followed by *, such as 'events:*'; repeated or with commas between"},
			&cli.StringFlag{Name: "mode", Value: "auto", Usage: "with --reads, as feed.Config.Mode: auto, tracking or polling"},
			&cli.BoolFlag{Name: "latest", Usage: "with --reads: streams without a position begin at their ends, as with feed.Latest"},
			&cli.BoolFlag{Name: "trim", Usage: "with --reads: handled messages are deleted, as with feed.TrimHandled"},
			&cli.BoolFlag{Name: "rules", Usage: "only print the access rules that the user of the engines needs, without a connection; its name is that in the URL, else that of the service"},
		),
		Action: act,
	}
}

func act(ctx context.Context, c *cli.Command) error {
	switch {
	case c.String("service") == "":
		return usage("-service is missing")
	case len(c.StringSlice("reads")) == 0 && (c.IsSet("mode") || c.Bool("latest") || c.Bool("trim")):
		return usage("--mode, --latest and --trim are for reading: name the data streams with --reads")
	case c.Bool("rules"):
		return printRules(c, c.Root().Writer)
	}
	err := run(ctx, c, c.Root().Writer)
	if errors.Is(err, api.ErrInvalidConfig) {
		return UsageError{err}
	}
	return err
}

// modes are the values of --mode.
var modes = map[string]feed.Mode{"auto": feed.Auto, "tracking": feed.Tracking, "polling": feed.Polling}

// feedConfig returns the Config that the flags describe.
func feedConfig(c *cli.Command) (f feed.Config, err error) {
	mode, known := modes[c.String("mode")]
	if !known {
		return f, usage("--mode is %q: use auto, tracking or polling", c.String("mode"))
	}
	f.Mode = mode
	if c.Bool("latest") {
		f.Start = feed.Latest
	}
	if c.Bool("trim") {
		f.Trim = feed.TrimHandled
	}
	return f, nil
}

// printRules prints rules that suit one server and a cluster: those for a cluster alone do no harm on one server.
func printRules(c *cli.Command, out io.Writer) error {
	service, partitions := c.String("service"), max(c.Int("partitions"), 1)
	if _, err := cluster.NewLayout(service, partitions); err != nil {
		return UsageError{err}
	}
	opt, err := address.Option(address.Of(c, address.Default))
	if err != nil {
		return UsageError{err}
	}
	name := cmp.Or(opt.Username, service)
	needs := []preflight.Need{preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.ToCheckpoint, preflight.ToBalance, preflight.OnCluster}
	if c.Bool("expired") {
		needs = append(needs, preflight.WithHints)
	}
	rules := append([]string{"ACL", "SETUSER", name, "on", ">password", "resetchannels"}, preflight.Rules(service, partitions, needs...)...)
	if streams := c.StringSlice("reads"); len(streams) > 0 {
		f, err := feedConfig(c)
		if err != nil {
			return err
		}
		for _, rule := range preflight.ReadingRules(preflight.Reading{Streams: streams, Tracks: f.Mode != feed.Polling, Trims: f.Trim == feed.TrimHandled}) {
			if !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
		}
	}
	_, err = fmt.Fprintln(out, strings.Join(rules, " "))
	return err
}

func run(ctx context.Context, c *cli.Command, out io.Writer) error {
	opts := []engine.Option{engine.WithSessionTTL(c.Duration("session-ttl")), engine.WithLeaseTTL(c.Duration("lease-ttl"))}
	if c.Bool("expired") {
		opts = append(opts, engine.WithExpired())
	}
	url := address.Of(c, address.Default)
	opt, err := address.Option(url)
	if err != nil {
		return UsageError{err}
	}
	if opt, err = engine.ClientOption(opt, opts...); err != nil {
		return err
	}
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return fmt.Errorf("-redis: no connection to %s: %w", address.Redacted(url), err)
	}
	defer client.Close()

	partitions := c.Int("partitions")
	if partitions == 0 {
		partitions = partitionsOf(ctx, client, c.String("service"))
	}
	report, err := check(ctx, c, client, append(opts, engine.WithPartitions(partitions)))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		encode := json.NewEncoder(out)
		encode.SetIndent("", "  ")
		err = encode.Encode(report)
	} else {
		err = writeFindings(report, out)
	}
	if err == nil && report.Err() != nil {
		err = errors.New("engines cannot work like this")
	}
	return err
}

// check checks for a feed if data streams are named, else for an engine.
func check(ctx context.Context, c *cli.Command, client rueidis.Client, opts []engine.Option) (*preflight.Report, error) {
	streams := c.StringSlice("reads")
	if len(streams) == 0 {
		return engine.Preflight(ctx, client, c.String("service"), opts...)
	}
	f, err := feedConfig(c)
	if err != nil {
		return nil, err
	}
	return feed.Preflight(ctx, client, c.String("service"), f, streams, opts...)
}

// partitionsOf returns the number of partitions of a service; 1 where there is none on record, which the report explains.
func partitionsOf(ctx context.Context, client rueidis.Client, service string) int {
	inspector, err := scan.NewInspector(client, service, scan.InspectorConfig{})
	if err != nil {
		return cluster.DefaultPartitions
	}
	n, err := inspector.Partitions(ctx)
	if err != nil {
		return cluster.DefaultPartitions
	}
	return n
}

// writeFindings writes each finding in one to three lines: what was seen, where, and what to do.
func writeFindings(report *preflight.Report, out io.Writer) error {
	for _, f := range report.Findings {
		if _, err := fmt.Fprintf(out, "%-8s %-12s %s\n", f.Severity, f.Subject, f.Seen); err != nil {
			return err
		}
		for _, line := range []string{strings.Join(f.Nodes, " "), f.Do} {
			if line == "" {
				continue
			}
			if _, err := fmt.Fprintf(out, "%-21s %s\n", "", line); err != nil {
				return err
			}
		}
	}
	return nil
}
