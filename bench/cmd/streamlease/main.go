package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"
	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// Exit statuses.
const (
	statusDone    = 0
	statusFailed  = 1
	statusUsage   = 2
	statusRunning = 3 // consumers of the service are alive; nothing was changed (if something was, it is statusFailed)
	statusRefused = 4 // the user did not confirm; nothing was changed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

var (
	errUsage   = errors.New("usage")
	errRefused = errors.New("not confirmed; nothing was changed")
)

// run is the command. It returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	c := command(in, out)
	c.Writer, c.ErrWriter = out, errs
	c.ExitErrHandler = func(context.Context, *cli.Command, error) {}
	c.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	for _, sub := range c.Commands {
		sub.OnUsageError = c.OnUsageError
	}
	err := c.Run(ctx, args)
	if err == nil {
		return statusDone
	}
	fmt.Fprintln(errs, "streamlease:", err)
	switch {
	case errors.Is(err, scan.ErrServiceRunning):
		return statusRunning
	case errors.Is(err, errRefused):
		return statusRefused
	case errors.Is(err, errUsage):
		return statusUsage
	}
	return statusFailed
}

func command(in io.Reader, out io.Writer) *cli.Command {
	common := func(more ...cli.Flag) []cli.Flag {
		return append(more,
			&cli.StringFlag{Name: "service", Usage: "name of the service"},
			&cli.DurationFlag{Name: "timeout", Value: scan.DefaultInspectTimeout, Usage: "timeout of one round trip; large announcements need a longer one"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what there is and what would be done, and change nothing"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"},
		)
	}
	return &cli.Command{
		Name:  "streamlease",
		Usage: "change a stopped service as a whole",
		Flags: []cli.Flag{address.Flag()},
		Description: "Exit status: 0 done; 1 failed, run the same command again to continue; 2 wrong arguments;\n" +
			"3 consumers are alive and nothing was changed; 4 not confirmed and nothing was changed.\n" +
			"If consumers joined a service that was already partly changed, the status is 1: no other consumer starts\n" +
			"until the change is finished. Stop them, and run the same command again.\n\n" + address.Help,
		Commands: []*cli.Command{
			{
				Name:  "delete-service",
				Usage: "delete everything that a service has, announcements and dead letters included",
				Flags: common(),
				Action: func(ctx context.Context, c *cli.Command) error {
					return apply(ctx, c, in, out, &deletion{})
				},
			},
			{
				Name:  "repartition",
				Usage: "give a service another number of partitions; nothing is lost",
				Flags: common(&cli.IntFlag{Name: "to", Usage: "number of partitions that the service is to have"}),
				Action: func(ctx context.Context, c *cli.Command) error {
					if n := c.Int("to"); n < 1 || n > cluster.MaxPartitions {
						return fmt.Errorf("%w: -to: %d is not between 1 and %d", errUsage, n, cluster.MaxPartitions)
					}
					return apply(ctx, c, in, out, &repartition{to: c.Int("to")})
				},
			},
		},
	}
}

// change is a change of a service.
type change interface {
	plan(s *scan.Survey) string
	do(ctx context.Context, i *scan.Inspector, progress func(scan.Progress)) (result string, err error)
}

// apply shows what there is and what will be done, asks for confirmation, and does it.
func apply(ctx context.Context, c *cli.Command, in io.Reader, out io.Writer, what change) error {
	if c.String("service") == "" {
		return fmt.Errorf("%w: -service is missing", errUsage)
	}
	client, err := connect(address.Of(c, address.Default))
	if err != nil {
		return err
	}
	defer client.Close()
	i, err := scan.NewInspector(client, c.String("service"), scan.InspectorConfig{Timeout: c.Duration("timeout")})
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	survey, err := i.Survey(ctx)
	if err != nil {
		return err
	}
	describe(out, survey)
	fmt.Fprintln(out, what.plan(survey))
	if err := survey.Running(); err != nil {
		return err
	}
	if c.Bool("dry-run") {
		fmt.Fprintln(out, "Nothing was changed.")
		return nil
	}
	if !c.Bool("yes") {
		fmt.Fprintf(out, "Enter the name of the service to continue: ")
		line, _ := bufio.NewReader(in).ReadString('\n')
		if strings.TrimSpace(line) != survey.Service {
			return errRefused
		}
	}
	result, err := what.do(ctx, i, progress(out))
	for _, said := range []error{scan.ErrServiceRunning, scan.ErrServiceJoined, scan.ErrTakenOver} {
		if errors.Is(err, said) {
			return err // the error says what to do
		}
	}
	if err != nil {
		return fmt.Errorf("%w (run the same command again to continue)", err)
	}
	fmt.Fprintln(out, result)
	return nil
}

func connect(url string) (rueidis.Client, error) {
	opt, err := address.Option(url)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, fmt.Errorf("-redis: no connection to %s: %w", address.Redacted(url), err)
	}
	return client, nil
}

// progress writes how far the change is, at most twice a second.
func progress(out io.Writer) func(scan.Progress) {
	var last time.Time
	return func(p scan.Progress) {
		if now := time.Now(); now.Sub(last) >= time.Second/2 {
			last = now
			fmt.Fprintf(out, "partition %d of %d: %d keys deleted, %d items moved\n", p.Partition, p.Of, p.Deleted, p.Moved)
		}
	}
}
