package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/term"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/bench/preflight"
	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/suite"
	"github.com/streamlease/streamlease/bench/version"
	"github.com/streamlease/streamlease/test/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().Run(ctx, os.Args); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; all that was started has ended")
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func command() *cli.Command {
	return &cli.Command{
		Name:        "bench",
		Usage:       "measure what owning streams costs",
		Description: address.Help,
		Version:     version.String(),
		Flags:       []cli.Flag{outFlag, goalsFlag, address.Flag()},
		Commands: []*cli.Command{
			allCommand(),
			{
				Name:  "hold",
				Usage: "hold streams, each size in a process of its own: goroutines, heap, commands, processor time, lateness",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "streams", Value: "1000,10000,100000", Usage: "sizes, separated by commas"},
					&cli.DurationFlag{Name: "lease-ttl", Usage: "TTL of a lease; 0: the default"},
					&cli.DurationFlag{Name: "for", Value: defaultFor, Usage: "how long each size is measured"},
					jsonFlag,
				},
				Action: hold,
			},
			{
				Name:  "take",
				Usage: "take streams that were announced before the start, and compare with a pipelined XADD loop",
				Flags: []cli.Flag{
					&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams a round"},
					&cli.IntFlag{Name: "rounds", Value: 9, Usage: "how often"},
					jsonFlag,
				},
				Action: func(ctx context.Context, c *cli.Command) error {
					if err := positive(c, "streams", "rounds"); err != nil {
						return err
					}
					return suite.Take(ctx, suite.TakeOptions{URL: address.Of(c, ""), Streams: c.Int("streams"), Rounds: c.Int("rounds")}, reportOf(c))
				},
			},
			{
				Name:  "done",
				Usage: "call Done from handlers, one stream at a time: scripts a call",
				Flags: []cli.Flag{
					&cli.IntFlag{Name: "streams", Value: 10_000, Usage: "streams a round"},
					&cli.IntFlag{Name: "rounds", Value: 3, Usage: "how often"},
					&cli.IntFlag{Name: "workers", Usage: "handlers at a time; 0: the default"},
					jsonFlag,
				},
				Action: func(ctx context.Context, c *cli.Command) error {
					if err := positive(c, "streams", "rounds"); err != nil {
						return err
					}
					return suite.Done(ctx, suite.DoneOptions{URL: address.Of(c, ""), Streams: c.Int("streams"), Rounds: c.Int("rounds"), Workers: c.Int("workers")}, reportOf(c))
				},
			},
			sizeCommand,
			scaleCommand,
			compareCommand,
			failoverCommand,
			scanCommand,
			churnCommand,
			consoleCommand,
			feedCommand,
			balanceCommand,
			ticksCommand,
			soakCommand,
			pipelineCommand,
			contenderCommand,
			loadCommand,
			readerCommand,
			tickerCommand,
			preflight.Command(
				&cli.StringFlag{Name: "service", Required: true, Usage: "name of the service"},
				&cli.IntFlag{Name: "partitions", Usage: "partitions that the service is to have; 0: what it has, else 1"},
				jsonFlag,
			),
			workerCommand,
			soakReaderCommand,
		},
	}
}

const defaultFor = 30 * time.Second

func hold(ctx context.Context, c *cli.Command) error {
	o := suite.HoldOptions{URL: address.Of(c, ""), LeaseTTL: c.Duration("lease-ttl"), For: c.Duration("for")}
	var err error
	if o.Streams, err = numbers(c, "streams"); err != nil {
		return err
	}
	return suite.Hold(ctx, o, reportOf(c))
}

// workerCommand is started by measurements.
var workerCommand = &cli.Command{
	Name:   "worker",
	Hidden: true,
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "service"},
		&cli.DurationFlag{Name: "lease-ttl"},
		&cli.DurationFlag{Name: "session-ttl"},
		&cli.StringFlag{Name: "prefix"},
		&cli.StringFlag{Name: "journal"},
		&cli.IntFlag{Name: "pages"},
		&cli.IntFlag{Name: "max-batch"},
		&cli.DurationFlag{Name: "tick"},
		&cli.IntFlag{Name: "workers"},
		&cli.BoolFlag{Name: "churn"},
		&cli.IntFlag{Name: "partitions"},
		&cli.BoolFlag{Name: "timed"},
		&cli.DurationFlag{Name: "work"},
		&cli.Uint64Flag{Name: "seed"},
		&cli.StringFlag{Name: "consumer"},
		&cli.StringFlag{Name: "balance"},
		&cli.BoolFlag{Name: "often"},
	},
	Action: func(ctx context.Context, c *cli.Command) error {
		// The parent ends the child by closing its input. The child ignores an interrupt, which reaches both.
		return pod.Worker(context.WithoutCancel(ctx), pod.WorkerOptions{
			Service: c.String("service"), LeaseTTL: c.Duration("lease-ttl"), SessionTTL: c.Duration("session-ttl"),
			Prefix: c.String("prefix"), Journal: c.String("journal"), Pages: c.Int("pages"), MaxBatch: c.Int("max-batch"), Tick: c.Duration("tick"),
			Workers: c.Int("workers"), Churn: c.Bool("churn"),
			Partitions: c.Int("partitions"), Timed: c.Bool("timed"), Work: c.Duration("work"), Seed: c.Uint64("seed"),
			Consumer: c.String("consumer"), Balance: pod.Balance(c.String("balance")), Often: c.Bool("often"),
		}, os.Stdin, os.Stdout)
	},
}

// reportKey is the key in the metadata of the command for the report that several measurements share.
const reportKey = "report"

// reportOf returns the report of a measurement: the shared one, or one of its own.
func reportOf(c *cli.Command) *report.Report {
	if shared, ok := c.Root().Metadata[reportKey].(*report.Report); ok {
		return shared
	}
	return &report.Report{
		Out: os.Stdout, Progress: terminal(os.Stderr), JSON: c.Bool("json"), Goals: c.Bool("goals"), Dir: c.String("out"),
		Command: commandLine(os.Args), Redis: redisVersion(),
	}
}

// commandLine returns the arguments as one line, without passwords.
func commandLine(args []string) string {
	shown := append([]string{filepath.Base(args[0])}, args[1:]...)
	for i, arg := range shown {
		if flag, url, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(flag, "-") {
			shown[i] = flag + "=" + address.Redacted(url)
		} else if strings.Contains(arg, "://") {
			shown[i] = address.Redacted(arg)
		}
	}
	return strings.Join(shown, " ")
}

// terminal returns the file if it is a terminal, else nil.
func terminal(f *os.File) io.Writer {
	if !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}

// redisVersion is the version of the server that measurements start.
func redisVersion() string {
	binary := os.Getenv(servers.EnvBinary)
	if binary == "" {
		binary = "redis-server"
	}
	text, err := exec.Command(binary, "--version").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "(none found)"
	}
	if match := regexp.MustCompile(`v=(\S+)`).FindSubmatch(text); match != nil {
		return string(match[1])
	}
	return strings.TrimSpace(string(text))
}
