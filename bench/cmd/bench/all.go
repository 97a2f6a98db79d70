package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/report"
)

// short is the suite in under three minutes. Each line has the arguments of one measurement, which can be repeated alone.
var short = []string{
	"size -streams 1000,10000,100000 -for 6s",
	"compare -rounds 1 -for 5s",
	"take -rounds 3",
	"done -rounds 1",
	"failover -session-ttl 2s",
	"churn -rates 1000,10000,40000 -for 2s",
	"pipeline -streams 20000 -batches 64,256,1000 -ticks 100ms -for 2s",
	"scale -from FOLDER/" + report.DataFile, // the costs that size, the first line, measured
}

func allCommand() *cli.Command {
	return &cli.Command{Name: "all", Usage: "run a short form of the suite, in under three minutes", Action: runAll}
}

func runAll(ctx context.Context, c *cli.Command) error {
	r := reportOf(c)
	if r.Dir == "" {
		return fmt.Errorf("all: -out is empty: bench -out FOLDER all")
	}
	// By the context this command is the parent of each part, so that they share its metadata.
	c.Root().Metadata[reportKey] = r
	began := time.Now()
	for _, line := range short {
		args := append([]string{"bench"}, strings.Fields(line)...)
		for i := range args {
			args[i] = strings.Replace(args[i], "FOLDER", r.Dir, 1)
		}
		r.Command, r.Redis = commandLine(args), redisVersion()
		if err := command().Run(ctx, args); err != nil {
			return fmt.Errorf("%s: %w", r.Command, err)
		}
	}
	path, err := filepath.Abs(filepath.Join(r.Dir, report.PageFile))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%v; the report: %s\n", time.Since(began).Round(time.Second), path)
	return nil
}
