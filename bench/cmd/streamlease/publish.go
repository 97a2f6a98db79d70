package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
)

func (e *env) publish() *cli.Command {
	return e.task(task{
		name: "publish", usage: "announce streams, so that each gets an owner", args: "STREAM..., or - for a name a line of stdin", least: 1, most: -1,
		description: "A stream that is announced twice has one owner at a time, and is handled again when the first announcement is done.\n" +
			"For a service that this database does not have, say how many it is to have with -partitions.",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "info", Usage: "JSON that goes with each announcement"},
			&cli.StringFlag{Name: "not-before", Usage: "when it is handed out: a time such as 2006-01-02T15:04:05Z, or a duration from now such as 10m"},
			&cli.BoolFlag{Name: "if-unowned", Usage: "announce only what nobody owns"},
			&cli.BoolFlag{Name: "dry-run", Usage: "check names and flags, and announce nothing"},
		},
		check: checkPublish,
		do:    publish,
	})
}

func checkPublish(c *cli.Command) error {
	if c.IsSet("info") && !json.Valid([]byte(c.String("info"))) {
		return usage(`-info: %q is no JSON; a text needs quotes of its own, as in '"text"'`, shortened(c.String("info"), longest))
	}
	if _, err := notBefore(c, time.Now()); err != nil {
		return err
	}
	if c.IsSet("not-before") && c.Bool("if-unowned") {
		return usage("-not-before and -if-unowned do not go together: whether the stream is owned then is not known yet")
	}
	for _, name := range c.Args().Slice() {
		if name == "-" && c.NArg() > 1 {
			return usage("- is for all names on stdin: leave the others out")
		}
	}
	return nil
}

// notBefore returns the time of that flag, zero if it is not there.
func notBefore(c *cli.Command, now time.Time) (time.Time, error) {
	text := c.String("not-before")
	if !c.IsSet("not-before") {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if d, err1 := time.ParseDuration(text); err1 == nil {
		t, err = now.Add(d), nil
	}
	switch {
	case err != nil:
		return t, usage("-not-before: %q is neither a time such as 2006-01-02T15:04:05Z nor a duration from now such as 10m", text)
	case !t.After(now):
		return t, usage("-not-before: %s is not ahead; leave it out to announce at once", text)
	case t.After(now.AddDate(latestYears, 0, 0)):
		return t, usage("-not-before: %s is more than %d years ahead", text, latestYears)
	}
	return t, nil
}

// latestYears is for how long an announcement may be delayed.
const latestYears = 10

// publishOutcome is what was announced, in JSON.
type publishOutcome struct {
	outcome
	Published int         `json:"published"`
	Owned     int         `json:"owned"`   // with -if-unowned: somebody owns them
	Refused   int         `json:"refused"` // there can be no such stream
	Checked   int         `json:"checked"` // with -dry-run: there can be
	Entries   []published `json:"entries"` // of those in the command line
}

// published is an announcement.
type published struct {
	stream
	Entry string `json:"entry"`
}

// publication is what all announcements of a command have in common.
type publication struct {
	*call
	publisher *engine.Publisher
	like      api.Announcement // but for the stream
	result    publishOutcome
}

func publish(ctx context.Context, c *call) error {
	p := &publication{call: c, result: publishOutcome{Entries: []published{}}}
	p.like.OnlyIfUnowned = c.cmd.Bool("if-unowned")
	if c.cmd.IsSet("info") {
		p.like.Info = json.RawMessage(c.cmd.String("info"))
	}
	var err error
	if p.like.NotBefore, err = notBefore(c.cmd, c.now()); err != nil {
		return err
	}
	n, err := c.inspector.Partitions(ctx)
	if errors.Is(err, scan.ErrUnknownService) {
		return fmt.Errorf("%w; if it is to be a new one, say how many partitions it is to have: -partitions 1", err)
	}
	if err != nil {
		return err
	}
	if p.publisher, err = engine.NewPublisher(c.client, c.service, engine.WithPartitions(n), engine.WithLogger(c.logger())); err != nil {
		return err
	}
	if c.cmd.Args().First() == "-" {
		err = p.lines(ctx, c.in)
	} else {
		err = p.names(ctx, c.cmd.Args().Slice())
	}
	p.result.outcome = c.outcome(err)
	p.conclude()
	return c.report(p.result, err)
}

// names announces the streams of the command line: all, or none if one of the names is wrong.
func (p *publication) names(ctx context.Context, all []string) error {
	for _, name := range all {
		if err := p.publisher.Check(name); err != nil {
			return usage("nothing was announced: %w", err)
		}
	}
	if p.cmd.Bool("dry-run") {
		p.result.Checked = len(all)
		return nil
	}
	entries, err := p.publisher.PublishMany(ctx, p.items(all)...)
	for n, entry := range entries {
		p.count(entry, err)
		p.result.Entries = append(p.result.Entries, published{streamOf(all[n]), entry})
		if entry != "" {
			p.tell("%s is announced as %s.", named(all[n]), entry)
		}
	}
	return again(err)
}

// items returns announcements of streams.
func (p *publication) items(names []string) []api.Announcement {
	all := make([]api.Announcement, len(names))
	for n, name := range names {
		all[n] = p.like
		all[n].Stream = name
	}
	return all
}

// count counts an announcement. err is that of the whole call: without one, "" is a stream that is owned.
func (p *publication) count(entry string, err error) {
	switch {
	case entry != "":
		p.result.Published++
	case err == nil:
		p.result.Owned++
	}
}

// again adds to an error what it means to announce once more.
func again(err error) error {
	if errors.Is(err, api.ErrInvalidConfig) {
		return usage("%w", err)
	}
	if !unanswered(err) {
		return err
	}
	return fmt.Errorf("%w\nWhat is not confirmed may have been announced all the same. To announce it again does no harm but that it may be handled twice, one after the other", err)
}

// conclude writes how many were announced.
func (p *publication) conclude() {
	r := &p.result
	if r.DryRun {
		p.tell("%s announced. Nothing was.", quantity(r.Checked, "stream would be", "streams would be"))
	}
	if !r.DryRun && len(r.Entries) != 1 {
		p.tell("%s announced.", quantity(r.Published, "stream was", "streams were"))
	}
	if r.Owned > 0 {
		p.tell("%s owned, and not announced.", quantity(r.Owned, "stream is", "streams are"))
	}
	if r.Refused > 0 {
		p.tell("%s refused.", quantity(r.Refused, "name was", "names were"))
	}
}
