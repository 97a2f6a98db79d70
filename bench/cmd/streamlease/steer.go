package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
)

// How long a wish lasts unless the command line says so: as long as what it is for usually takes.
const (
	pauseFor  = time.Hour
	drainFor  = time.Hour
	weightFor = 24 * time.Hour
	freezeFor = 30 * time.Minute
)

const consumerHelp = "CONSUMER is a consumer ID, the same in each run of a process: the name of its pod, unless the program sets another.\n" +
	"The wish is for whatever run there is until it ends, by itself."

func (e *env) pause() *cli.Command {
	return e.wish(scan.WishPause, pauseFor, task{
		name: "pause", usage: "have consumers take no more streams, and keep those that they hold", args: "CONSUMER...", least: 1, most: -1,
	})
}

func (e *env) drain() *cli.Command {
	return e.wish(scan.WishDrain, drainFor, task{
		name: "drain", usage: "have consumers hand back all streams, and take no more; they run on", args: "CONSUMER...", least: 1, most: -1,
	})
}

func (e *env) freeze() *cli.Command {
	return e.wish(scan.WishFreeze, freezeFor, task{
		name: "freeze", usage: "let no stream be moved, neither to even out shares nor to empty a process; a shutdown hands back all the same",
	})
}

func (e *env) weight() *cli.Command {
	return e.wish(scan.WishWeight, weightFor, task{
		name: "weight", usage: "give a consumer another weight: one of 2 is to hold twice as many streams as one of 1",
		args: "CONSUMER WEIGHT, or CONSUMER -clear", least: 1, most: 2,
		flags: []cli.Flag{&cli.BoolFlag{Name: "clear", Usage: "take the wish back: the weight is that of the program again"}},
	})
}

func (e *env) resume() *cli.Command {
	return e.task(task{
		name: "resume", usage: "take back that consumers are paused or drained", args: "CONSUMER...", least: 1, most: -1,
		description: consumerHelp, flags: []cli.Flag{dryRun()}, check: checkConsumers,
		do: func(ctx context.Context, c *call) error {
			return c.withdraw(ctx, c.cmd.Args().Slice(), scan.WishPause, scan.WishDrain)
		},
	})
}

func (e *env) unfreeze() *cli.Command {
	return e.task(task{
		name: "unfreeze", usage: "take a freeze back", flags: []cli.Flag{dryRun()},
		do: func(ctx context.Context, c *call) error { return c.withdraw(ctx, []string{""}, scan.WishFreeze) },
	})
}

func dryRun() cli.Flag {
	return &cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, and change nothing"}
}

// wish completes the task of a command that asks for a kind of wish.
func (e *env) wish(kind scan.WishKind, lasts time.Duration, t task) *cli.Command {
	t.changes = true
	t.flags = append(t.flags,
		&cli.DurationFlag{Name: "for", Value: lasts, Usage: fmt.Sprintf("how long, from %v to %v; it ends by itself then", scan.MinWish, scan.MaxWish)},
		&cli.StringFlag{Name: "reason", Usage: "why, for the log of who obeys; your name and host are put in front"})
	if kind != scan.WishFreeze {
		t.description = consumerHelp
	}
	t.check = func(c *cli.Command) error { return checkWish(kind, c) }
	t.do = func(ctx context.Context, c *call) error {
		if c.cmd.Bool("clear") {
			return c.withdraw(ctx, c.cmd.Args().Slice(), kind)
		}
		return c.ask(ctx, kind)
	}
	return e.task(t)
}

func checkWish(kind scan.WishKind, c *cli.Command) error {
	if d := c.Duration("for"); d < scan.MinWish || d > scan.MaxWish {
		return usage("-for: %v is not between %v and %v: a wish ends by itself", d, scan.MinWish, scan.MaxWish)
	}
	if why := c.String("reason"); strings.ContainsFunc(why, unicode.IsControl) || !utf8.ValidString(why) {
		return usage("-reason: %q is not one line of UTF-8", why)
	}
	if n, most := len(c.String("reason")), scan.MaxReason-len(reason("")+": "); n > most {
		return usage("-reason: it has %d bytes, the limit is %d, since your name and host are put in front; make it shorter", n, most)
	}
	if kind != scan.WishWeight {
		return checkConsumers(c)
	}
	if err := checkConsumer(c.Args().First()); err != nil {
		return err
	}
	switch _, err := weightOf(c.Args().Get(1)); {
	case c.Bool("clear") && c.NArg() > 1:
		return usage("-clear takes the wish back: leave the weight out")
	case c.Bool("clear"):
		return nil
	case c.NArg() < 2:
		return usage("the weight is missing: one of 2 is to hold twice as many streams as one of 1; or -clear")
	default:
		return err
	}
}

func checkConsumers(c *cli.Command) error {
	for _, name := range c.Args().Slice() {
		if err := checkConsumer(name); err != nil {
			return err
		}
	}
	return nil
}

func checkConsumer(name string) error {
	if err := cluster.ValidateConsumerID(name); err != nil {
		return usage("%w", err)
	}
	return nil
}

func weightOf(text string) (float64, error) {
	w, err := strconv.ParseFloat(text, 64)
	if err != nil || !(w >= scan.MinWeight && w <= scan.MaxWeight) {
		return 0, usage("the weight is %q, not a number from %v to %v", text, scan.MinWeight, scan.MaxWeight)
	}
	return w, nil
}

// mostWho is how much of a reason is for who wishes it, in bytes: what is longer is cut.
const mostWho = 64

// reason returns who runs the command, and why.
func reason(why string) string {
	who := os.Getenv("USER")
	if u, err := user.Current(); err == nil && u.Username != "" {
		who = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	who = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, who)
	if who = strings.ToValidUTF8(who[:min(len(who), mostWho)], ""); why == "" {
		return who
	}
	return who + ": " + why
}
