package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/redis/rueidis"
	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/scan"
)

// preflightCommand checks servers as engine.Preflight does.
var preflightCommand = &cli.Command{
	Name:        "preflight",
	Usage:       "check servers before engines use them, and say what to do; writes nothing, fails if engines cannot work there",
	Description: address.Help,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "service", Required: true, Usage: "name of the service"},
		&cli.IntFlag{Name: "partitions", Usage: "partitions that the service is to have; 0: what it has, else 1"},
		&cli.DurationFlag{Name: "session-ttl", Usage: "as WithSessionTTL; 0: the default"},
		&cli.DurationFlag{Name: "lease-ttl", Usage: "as WithLeaseTTL; 0: the default"},
		&cli.BoolFlag{Name: "expired", Usage: "engines will use WithExpired"},
		&cli.BoolFlag{Name: "rules", Usage: "only print the access rules that the user of the engines needs, without a connection; its name is that in the URL, else that of the service"},
		jsonFlag,
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		if c.Bool("rules") {
			return printRules(c, os.Stdout)
		}
		return runPreflight(ctx, c, os.Stdout)
	},
}

// printRules prints rules that suit one server and a cluster: those for a cluster alone do no harm on one server.
func printRules(c *cli.Command, out io.Writer) error {
	service, partitions := c.String("service"), max(c.Int("partitions"), 1)
	if _, err := cluster.NewLayout(service, partitions); err != nil {
		return err
	}
	opt, err := address.Option(address.Of(c, address.Default))
	if err != nil {
		return err
	}
	name := cmp.Or(opt.Username, service)
	needs := []preflight.Need{preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.ToCheckpoint, preflight.OnCluster}
	if c.Bool("expired") {
		needs = append(needs, preflight.WithHints)
	}
	rules := append([]string{"ACL", "SETUSER", name, "on", ">password", "resetchannels"}, preflight.Rules(service, partitions, needs...)...)
	_, err = fmt.Fprintln(out, strings.Join(rules, " "))
	return err
}

func runPreflight(ctx context.Context, c *cli.Command, out io.Writer) error {
	opts := []engine.Option{engine.WithSessionTTL(c.Duration("session-ttl")), engine.WithLeaseTTL(c.Duration("lease-ttl"))}
	if c.Bool("expired") {
		opts = append(opts, engine.WithExpired())
	}
	url := address.Of(c, address.Default)
	opt, err := address.Option(url)
	if err != nil {
		return err
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
	report, err := engine.Preflight(ctx, client, c.String("service"), append(opts, engine.WithPartitions(partitions))...)
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
