package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/scan"
)

// Exit statuses.
const (
	statusDone    = 0
	statusFailed  = 1
	statusUsage   = 2
	statusRunning = 3 // consumers of the service are alive; nothing was changed (if something was, it is statusFailed)
	statusRefused = 4 // the user did not confirm; nothing was changed
	statusNothing = 5 // nothing matched, or what was named is not there
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
	errNothing = errors.New("nothing found")
)

// usage returns an error that says what is wrong with the command line.
func usage(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
}

// nothing returns an error that says what is not there.
func nothing(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errNothing}, args...)...)
}

// run is the command. It returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	return (&env{in: in, out: out, errs: errs, now: time.Now, screen: screenOf}).run(ctx, args)
}

func (e *env) run(ctx context.Context, args []string) int {
	if e.completeService(ctx, args) {
		return statusDone
	}
	err := e.command().Run(ctx, args)
	if err == nil {
		return statusDone
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(e.errs, "streamlease:", visible(strings.TrimSuffix(line, "\n")))
	}
	return statusOf(err)
}

func statusOf(err error) int {
	var help cli.ExitCoder // of the library, for help on what there is not
	switch {
	case errors.Is(err, scan.ErrServiceRunning):
		return statusRunning
	case errors.Is(err, errRefused):
		return statusRefused
	case errors.Is(err, errUsage), errors.As(err, &help):
		return statusUsage
	case errors.Is(err, errNothing), errors.Is(err, scan.ErrUnknownService), errors.Is(err, schedule.ErrNoSchedule):
		return statusNothing
	}
	return statusFailed
}

// prepare sets what all commands have in common, which the library does not inherit.
func prepare(c *cli.Command) {
	c.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error { return usage("%w", err) }
	c.ExitErrHandler = func(context.Context, *cli.Command, error) {}
	if len(c.Commands) == 0 {
		c.HideHelpCommand = true                                                // a stream may be called help
		c.CommandNotFound = func(_ context.Context, c *cli.Command, _ string) { // -h behind arguments
			cli.HelpPrinter(c.Root().Writer, cli.CommandHelpTemplate, c)
		}
		return
	}
	c.Action = unknown
	for _, sub := range c.Commands {
		prepare(sub)
	}
}

// unknown is what a command does whose subcommand is missing or mistyped.
func unknown(_ context.Context, c *cli.Command) error {
	if !c.Args().Present() {
		return cli.ShowSubcommandHelp(c)
	}
	name := c.Args().First()
	if near := cli.SuggestCommand(c.Commands, name); near != "" {
		return usage("%s has no command %q; do you mean %s?", c.FullName(), name, near)
	}
	return usage("%s has no command %q", c.FullName(), name)
}
