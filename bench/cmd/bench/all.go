package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/suite"
)

// short is the suite in about four minutes. Each line has the arguments of one measurement, which can be repeated alone.
var short = []string{
	"size -streams 1000,10000,100000 -for 4s",
	"compare -rounds 1 -for 4s",
	"take -rounds 3",
	"done -rounds 1",
	"failover -session-ttl 2s",
	"churn -rates 1000,10000,40000 -for 2s",
	"pipeline -streams 20000 -batches 64,256,1000 -ticks 100ms -for 2s",
	"feed -streams 10000 -rates 10000,50000 -spreads even -for 2s -most 0 -backlog 300000 -parts loads,backlog",
	"scale -from FOLDER/" + report.DataFile, // the costs that size, the first line, measured
}

func allCommand() *cli.Command {
	return &cli.Command{Name: "all", Usage: "run a short form of the suite, in about four minutes", Action: runAll}
}

// runAll runs one measurement after the other. One that fails, as on a machine that is too busy for it, does not keep the others from running.
func runAll(ctx context.Context, c *cli.Command) error {
	r := reportOf(c)
	if r.Dir == "" {
		return fmt.Errorf("all: -out is empty: bench -out FOLDER all")
	}
	// By the context this command is the parent of each part, so that they share its metadata.
	c.Root().Metadata[reportKey] = r
	began := time.Now()
	var failed []string
	for _, line := range short {
		args := partOf(c, line, r.Dir)
		r.Command, r.Redis = commandLine(args), redisVersion()
		err := command().Run(ctx, args)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed = append(failed, args[1])
			if err := r.Fail(err); err != nil {
				return err
			}
		}
	}
	path, err := filepath.Abs(filepath.Join(r.Dir, report.PageFile))
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "%v; the report: %s\n", time.Since(began).Round(time.Second), path)
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d measurements ended with an error, which the report shows: %s", len(failed), len(short), strings.Join(failed, ", "))
	}
	return nil
}

// partOf returns the arguments of one measurement: on the Redis of the whole, and with the costs that were measured, if they were.
func partOf(c *cli.Command, line, dir string) []string {
	args := append([]string{"bench"}, strings.Fields(strings.ReplaceAll(line, "FOLDER", dir))...)
	if args[1] == "scale" { // which ends with -from FILE
		if _, err := suite.ReadCosts(args[len(args)-1]); err != nil {
			args = args[:len(args)-2]
		}
		return args
	}
	return append(args, address.Args(c)...)
}
