package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/streamlease/streamlease/scan"
)

const reasonUsage = "only dead letters whose reason begins with this: a class such as crashes, or more"

func (e *env) dlqList() *cli.Command {
	return e.task(task{
		name: "list", usage: "list dead letters, the newest first", do: dlqList, check: checkFilters,
		flags: filters("dead letters", &cli.StringFlag{Name: "reason", Usage: reasonUsage}),
		description: "REASON begins with a class: permanent (the handler said that no retry helps), retries (it failed too often), crashes (its\n" +
			"owners died too often), malformed, too_wide, too_large, refused.",
	})
}

func (e *env) dlqCount() *cli.Command {
	return e.task(task{
		name: "count", usage: "count dead letters by the class of their reason; reads all of them", do: dlqCount, check: checkFilters,
		flags: []cli.Flag{
			&cli.StringFlag{Name: "reason", Usage: reasonUsage},
			&cli.StringFlag{Name: "stream", Usage: "only dead letters of this data stream"},
			&cli.IntSliceFlag{Name: "partition", Usage: "only dead letters in this partition; may be repeated"},
		},
	})
}

func (e *env) dlqShow() *cli.Command {
	return e.task(task{
		name: "show", usage: "show all of a dead letter", args: "[ID...]", most: -1, do: dlqShow,
		flags: []cli.Flag{
			&cli.StringFlag{Name: "stream", Usage: "those of this data stream, the newest first"},
			&cli.IntSliceFlag{Name: "partition", Usage: "in this partition, since IDs repeat across partitions; may be repeated"},
			limitFlag(),
		},
		check: func(c *cli.Command) error {
			if c.Args().Present() == c.IsSet("stream") {
				return usage("dlq show needs the ID of a dead letter, or -stream")
			}
			for _, id := range c.Args().Slice() {
				if !entryID.MatchString(id) {
					return usage("%q is no ID such as 1700000000000-0", id)
				}
			}
			return checkFilters(c)
		},
	})
}

// deadLetter is a dead letter in JSON.
type deadLetter struct {
	stream
	Partition  int             `json:"partition"`
	ID         string          `json:"id"`
	Class      string          `json:"class"`
	Reason     string          `json:"reason"`
	At         *time.Time      `json:"at"`
	Retries    int             `json:"retries"`
	Crashes    int             `json:"crashes"`
	LastOwner  string          `json:"last_owner"`
	OriginalID string          `json:"original_id"`
	Reference  string          `json:"reference,omitempty"`
	Size       int             `json:"size_bytes,omitempty"`
	Info       json.RawMessage `json:"info"`
	Body       []bodyField     `json:"body,omitempty"` // of show
}

// bodyField is a field of an announcement in JSON.
type bodyField struct {
	Field string `json:"field"`
	Value string `json:"value"`
	Bytes []byte `json:"value_base64,omitempty"` // where the value is not UTF-8
}

func bodyOf(d *scan.DeadLetter) (all []bodyField) {
	for _, f := range d.Body {
		b := bodyField{Field: f.Field, Value: f.Value}
		if !utf8.ValidString(f.Value) {
			b.Bytes = []byte(f.Value)
		}
		all = append(all, b)
	}
	return all
}

func deadLetterOf(l *scan.DeadLetter) deadLetter {
	return deadLetter{
		stream: streamOf(l.Stream), Partition: l.Partition, ID: l.ID, Class: l.Class(), Reason: l.Reason, At: stamp(l.At), Retries: l.Retries,
		Crashes: l.Crashes, LastOwner: l.LastOwner, OriginalID: l.OriginalID, Reference: l.Reference, Size: l.Size, Info: infoOf(l.Info),
	}
}

func deadLettersOf(found []scan.DeadLetter) []deadLetter {
	all := make([]deadLetter, len(found))
	for n := range found {
		all[n] = deadLetterOf(&found[n])
	}
	return all
}

// deadLetters returns the newest dead letters that are selected, and how many there are in all.
func (c *call) deadLetters(ctx context.Context, s scan.Selection) (found []scan.DeadLetter, total int, more bool, err error) {
	partitions, total, err := c.populated(ctx, func(b *scan.Backlog) int { return b.DeadLetters })
	if err != nil {
		return nil, 0, false, err
	}
	found, more, err = first(ctx, s, partitions, c.cmd.Int("limit"), c.inspector.LettersPage, func(a, b scan.DeadLetter) int {
		return cmp.Or(b.At.Compare(a.At), byID(a.Partition, b.Partition, b.ID, a.ID))
	})
	return found, total, more, err
}

func dlqList(ctx context.Context, c *call) error {
	s, err := c.selected(ctx)
	if err != nil {
		return err
	}
	found, total, more, err := c.deadLetters(ctx, s)
	if err != nil && found == nil {
		return err
	}
	now := c.clock(ctx)
	l := &listing{head: []any{"since", "stream", "reason", ">retries", ">crashes", "last owner", ">partition", "id"}, none: "No dead letters."}
	for _, d := range found {
		l.row(relative(d.At, now), named(d.Stream), shortened(oneLine(d.Reason), longest), d.Retries, unless0(bad, d.Crashes),
			orDash(d.LastOwner), d.Partition, d.ID)
	}
	l.foot = []any{"", shown(len(found), total, more, "dead letter")}
	if err := cmp.Or(c.list(deadLettersOf(found), l), err); err != nil {
		return err
	}
	if len(found) == 0 {
		if narrowed(s) {
			return nothing("no dead letter matches")
		}
		return nil
	}
	c.hint("Next: streamlease dlq show ID shows all of one; dlq count counts by reason; dlq send-back hands them out again.")
	return nil
}

func dlqCount(ctx context.Context, c *call) error {
	s, err := c.selected(ctx)
	if err != nil {
		return err
	}
	classes, err := c.inspector.CountLetters(ctx, s)
	if err != nil {
		return err
	}
	type class struct {
		Class   string `json:"class"`
		Letters int    `json:"dead_letters"`
	}
	var all []class
	total := 0
	l := &listing{head: []any{"class of reason", ">dead letters"}, none: "No dead letters."}
	for _, name := range slices.Sorted(maps.Keys(classes)) {
		all, total = append(all, class{name, classes[name]}), total+classes[name]
		l.row(orDash(name), classes[name])
	}
	l.foot = []any{"all", total}
	if err := c.list(all, l); err != nil {
		return err
	}
	if total == 0 && narrowed(s) {
		return nothing("no dead letter matches")
	}
	return nil
}

// dlqShow shows all of the dead letters that are named by ID, in all partitions, or by their stream.
func dlqShow(ctx context.Context, c *call) error {
	s, err := c.selected(ctx)
	if err != nil {
		return err
	}
	ids := c.cmd.Args().Slice()
	if len(ids) == 0 {
		ids = []string{""}
	}
	var all []scan.DeadLetter
	var missing []string
	for _, id := range ids {
		s.ID = id
		found, _, _, err := c.deadLetters(ctx, s)
		if err != nil {
			return err
		}
		if all = append(all, found...); len(found) == 0 {
			missing = append(missing, cmp.Or(id, named(s.Stream)))
		}
	}
	if err := c.showLetters(ctx, all); err != nil {
		return err
	}
	if len(missing) > 0 {
		return nothing("no dead letter %v", missing)
	}
	c.hint("Next: streamlease dlq send-back -id ID -partition N hands it out again; dlq drop deletes it.")
	return nil
}

func (c *call) showLetters(ctx context.Context, all []scan.DeadLetter) error {
	if c.json {
		objects := deadLettersOf(all)
		for n := range objects {
			objects[n].Body = bodyOf(&all[n])
		}
		return c.array(objects)
	}
	now := c.clock(ctx)
	for n, d := range all {
		if n > 0 {
			fmt.Fprintln(c.out)
		}
		if err := c.labelled(nil, letterFields(&d, now)); err != nil {
			return err
		}
	}
	return nil
}

func letterFields(d *scan.DeadLetter, now time.Time) (f fields) {
	f.add("dead letter", d.ID)
	f.add("partition", d.Partition)
	f.add("stream", namedIn(d.Stream, 1000))
	f.add("reason", toned{bad, cmp.Or(d.Reason, dash)})
	f.add("since", moment(d.At, now))
	f.add("retries", d.Retries)
	f.add("crashes", d.Crashes)
	f.add("last owner", orDash(d.LastOwner))
	f.add("announced as", cmp.Or(d.OriginalID, dash))
	if d.Reference != "" {
		f.add("stands for", d.Reference+" in the input stream, which could not be copied; it weighs "+counted(d.Size, "byte"))
	}
	for _, field := range d.Body {
		f.add("field "+visible(shortened(field.Field, 20)), shortened(field.Value, 2000))
	}
	return f
}
