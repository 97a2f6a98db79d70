package main

import (
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/bench/version"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// EnvService is the environment variable with the name of the service.
const EnvService = "STREAMLEASE_SERVICE"

const description = `What only reads changes nothing in Redis. What changes something says what it will do, and asks; -dry-run only says it,
and -yes does not ask. Flags may stand anywhere behind the command. Use -- before a name that begins with a dash.

Tables are for people: times are relative and local, and names are escaped where a terminal could take them for
commands, and cut in the middle where they are long. With -json the output is for programs: complete, with times in
RFC 3339 and ages in seconds. A name that is not UTF-8 is there in base64, too.

Exit status:
   0  done
   1  failed; what changes a service goes on if it is run again
   2  wrong arguments
   3  consumers are alive, and nothing was changed
   4  not confirmed, and nothing was changed
   5  not found: no such service, stream, consumer or schedule, or nothing that matches
If consumers joined a service that was already partly changed, the status is 1: no other consumer starts until the
change is finished. Stop them, and run the same command again.

` + address.Help

// command returns the whole command.
func (e *env) command() *cli.Command {
	c := &cli.Command{
		Name:        "streamlease",
		Usage:       "see what a service does, and change it",
		Description: description,
		Version:     version.String(),
		Flags: []cli.Flag{
			address.Flag(),
			&cli.StringFlag{Name: "service", Usage: "name of the service, else that in $" + EnvService},
			&cli.BoolFlag{Name: "json", Usage: "write JSON, for programs"},
			&cli.DurationFlag{Name: "timeout", Value: scan.DefaultInspectTimeout, Usage: "timeout of one round trip; large announcements need a longer one"},
			&cli.IntFlag{Name: "partitions", Usage: "number of partitions, where Redis has none on record", Validator: partitions},
			&cli.BoolFlag{Name: "no-color", Usage: "write no colors, as with $NO_COLOR"},
		},
		EnableShellCompletion:           true,
		ConfigureShellCompletionCommand: func(c *cli.Command) { c.Hidden = false },
		Commands: []*cli.Command{
			e.top(),
			e.owners(),
			e.consumers(),
			e.holdings(),
			e.lag(),
			group("schedules", "show schedules, and change them", e.schedulesList(), e.pauseSchedules(), e.resumeSchedules(), e.triggerSchedules(), e.deleteSchedules()),
			group("later", "announcements that are delayed", e.laterList(), e.bringForward(), e.cancelDelayed()),
			group("dlq", "dead letters: announcements that were given up on", e.dlqList(), e.dlqCount(), e.dlqShow(), e.sendBackLetters(), e.dropLetters()),
			e.stranded(),
			e.moves(),
			e.wishes(),
			e.pause(),
			e.resume(),
			e.drain(),
			e.weight(),
			e.freeze(),
			e.unfreeze(),
			e.publish(),
			e.signal(),
			e.serve(),
			e.preflight(),
			e.deleteService(),
			e.repartition(),
		},
		Writer:    e.out,
		ErrWriter: e.errs,
	}
	prepare(c)
	return c
}

func partitions(n int) error {
	if n < 0 || n > cluster.MaxPartitions {
		return fmt.Errorf("%d is not between 1 and %d", n, cluster.MaxPartitions)
	}
	return nil
}

// group is a command that has only subcommands.
func group(name, usage string, subs ...*cli.Command) *cli.Command {
	return &cli.Command{Name: name, Usage: usage, Commands: subs}
}

// task is what a subcommand does on a service.
type task struct {
	name, usage string
	args        string // what its arguments are, for the help
	least, most int    // number of arguments; most < 0: any number
	description string
	flags       []cli.Flag
	changes     bool // has -dry-run and -yes

	// check, which may be nil, looks at the command line before there is a connection.
	check func(c *cli.Command) error

	do action
}

// task returns the subcommand of a task.
func (e *env) task(t task) *cli.Command {
	if t.changes {
		t.flags = append(t.flags,
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, and change nothing"},
			&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"})
	}
	return &cli.Command{
		Name: t.name, Usage: t.usage, ArgsUsage: t.args, Description: t.description, Flags: t.flags,
		Action: e.action(&t),
	}
}

// limitFlag bounds how much a list shows.
func limitFlag() cli.Flag {
	return &cli.IntFlag{Name: "limit", Value: 100, Usage: "show at most so many; 0: all", Validator: func(n int) error {
		if n < 0 {
			return fmt.Errorf("%d is below 0", n)
		}
		return nil
	}}
}
