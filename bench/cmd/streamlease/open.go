package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/redis/rueidis"
	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/scan"
)

// env is what the command runs in.
type env struct {
	in        io.Reader
	out, errs io.Writer
	now       func() time.Time
	screen    func(stream any) screen // what is known of in, out or errs
}

// call is one run of a subcommand: the command line, the service, and where the answer goes.
type call struct {
	*printer
	cmd       *cli.Command
	client    rueidis.Client
	service   string
	inspector *scan.Inspector
}

// action is what a subcommand does once it is connected.
type action func(ctx context.Context, c *call) error

// action returns the action of a subcommand: it checks the command line, connects, does the task, and disconnects.
func (e *env) action(t *task) cli.ActionFunc {
	return func(ctx context.Context, cmd *cli.Command) error {
		if n := cmd.NArg(); n < t.least || t.most >= 0 && n > t.most {
			return usage("%s: %d arguments; it is %s %s", cmd.FullName(), n, cmd.FullName(), t.args)
		}
		if t.check != nil {
			if err := t.check(cmd); err != nil {
				return err
			}
		}
		c, err := e.open(cmd)
		if err != nil {
			return err
		}
		defer c.client.Close()
		if err := c.agree(ctx); err != nil {
			return err
		}
		return t.do(ctx, c)
	}
}

// open connects to the service that the command line names. The caller closes the client.
func (e *env) open(cmd *cli.Command) (*call, error) {
	c := &call{printer: e.printer(cmd), cmd: cmd, service: service(cmd)}
	if c.service == "" {
		return nil, usage("-service is missing, and $%s is empty", EnvService)
	}
	if d := cmd.Duration("timeout"); d <= 0 {
		return nil, usage("-timeout: %v is not above 0", d)
	}
	client, err := connect(address.Of(cmd, address.Default))
	if err != nil {
		return nil, err
	}
	c.client = client
	if c.inspector, err = c.inspect(scan.InspectorConfig{}); err != nil {
		client.Close()
		return nil, err
	}
	return c, nil
}

// agree returns an error if Redis has another number of partitions on record than the command line.
func (c *call) agree(ctx context.Context) error {
	given := c.cmd.Int("partitions")
	if given == 0 {
		return nil
	}
	i, err := scan.NewInspector(c.client, c.service, scan.InspectorConfig{Timeout: c.cmd.Duration("timeout")})
	if err != nil {
		return err
	}
	if n, err := i.Partitions(ctx); err == nil && n != given {
		return usage("-partitions: service %s has %d on record, not %d", c.service, n, given)
	}
	return nil
}

func service(cmd *cli.Command) string {
	if cmd.IsSet("service") {
		return cmd.String("service")
	}
	return os.Getenv(EnvService)
}

// inspect returns an inspector with the limits of the command line.
func (c *call) inspect(config scan.InspectorConfig) (*scan.Inspector, error) {
	config.Timeout, config.Partitions = c.cmd.Duration("timeout"), c.cmd.Int("partitions")
	i, err := scan.NewInspector(c.client, c.service, config)
	if err != nil {
		return nil, usage("%w", err)
	}
	return i, nil
}

// table returns the schedules of the service.
func (c *call) table(ctx context.Context) (*schedule.Table, error) {
	n, err := c.inspector.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	return schedule.NewTable(c.client, c.service, engine.WithPartitions(n), engine.WithLogger(c.logger()))
}

// logger returns a logger for what the library logs. It escapes what a terminal would obey.
func (e *env) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(e.errs, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}}))
}

// connect returns a client for the Redis at a URL.
func connect(url string) (rueidis.Client, error) {
	opt, err := address.Option(url)
	if err != nil {
		return nil, usage("%w", err)
	}
	client, err := rueidis.NewClient(opt)
	if err != nil {
		return nil, fmt.Errorf("-redis: no connection to %s: %w", address.Redacted(url), err)
	}
	return client, nil
}

// clock returns the time by a server of Redis, to compare with times of Redis; that of this machine where the server does not say.
func (c *call) clock(ctx context.Context) time.Time {
	ctx, cancel := context.WithTimeout(ctx, c.cmd.Duration("timeout"))
	defer cancel()
	parts, err := c.client.Do(ctx, c.client.B().Time().Build()).AsIntSlice()
	if err != nil || len(parts) != 2 {
		return c.now()
	}
	return time.Unix(parts[0], parts[1]*1000)
}
