package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// wishesOutcome is what became of wishes, in JSON.
type wishesOutcome struct {
	outcome
	Wishes   []wish   `json:"wishes"`
	Warnings []string `json:"warnings"`
}

// ask has consumers obey a wish.
func (c *call) ask(ctx context.Context, kind scan.WishKind) error {
	all, err := c.wished(kind)
	if err != nil {
		return err
	}
	b, err := c.inspector.Balance(ctx)
	if err != nil {
		return err
	}
	plan := planOf(all, &b, c)
	for _, line := range append(plan.says, plan.warnings...) {
		c.tell("%s", line)
	}
	goOn := true
	if plan.asks || c.cmd.Bool("dry-run") {
		if goOn, err = c.confirm(ctx, c.service); err != nil {
			return err
		}
	}
	result := wishesOutcome{Wishes: []wish{}, Warnings: append([]string{}, plan.warnings...)}
	for n := range all {
		w := &all[n]
		if goOn {
			if err = c.askOne(ctx, w); err != nil {
				break
			}
		}
		result.Wishes = append(result.Wishes, wishOf(w))
	}
	result.outcome = c.outcome(err)
	return c.report(result, err)
}

// wished returns what the command line asks for.
func (c *call) wished(kind scan.WishKind) (all []scan.Wish, err error) {
	w := scan.Wish{Kind: kind, For: c.cmd.Duration("for"), Left: c.cmd.Duration("for"), Reason: reason(c.cmd.String("reason"))}
	names := c.cmd.Args().Slice()
	switch kind {
	case scan.WishFreeze:
		return []scan.Wish{w}, nil
	case scan.WishWeight:
		if w.Weight, err = weightOf(names[1]); err != nil {
			return nil, err
		}
		names = names[:1]
	}
	for _, name := range names {
		w.Consumer = name
		all = append(all, w)
	}
	return all, nil
}

func (c *call) askOne(ctx context.Context, w *scan.Wish) error {
	err := c.inspector.Ask(ctx, *w)
	switch {
	case errors.Is(err, api.ErrInvalidConfig):
		return usage("%w", err)
	case unanswered(err):
		return fmt.Errorf("%w; it may be on record all the same: run the same command again, which leaves one", err)
	case err == nil:
		c.tell("On record until %s (%s): %s. Processes obey within about a second.", local(c.now().Add(w.For), c.now()), span(w.For), w.Reason)
	}
	return err
}

// plan is what a wish would do.
type plan struct {
	says, warnings []string
	asks           bool // nobody would take streams any more
}

// planOf returns what wishes of one kind would do.
func planOf(all []scan.Wish, b *scan.Balance, c *call) (p plan) {
	will := "will"
	if c.cmd.Bool("dry-run") {
		will = "would"
	}
	say := func(format string, args ...any) { p.says = append(p.says, fmt.Sprintf(format, args...)) }
	warn := func(format string, args ...any) { p.warnings = append(p.warnings, fmt.Sprintf(format, args...)) }
	if all[0].Kind == scan.WishFreeze {
		say("No stream %s be moved between the %s, but for what processes hand back that shut down.", will, counted(len(b.Processes)+b.Older, "process"))
		return p
	}
	takers := b.Older
	for n := range b.Processes {
		r := &b.Processes[n]
		meant := slices.ContainsFunc(all, func(w scan.Wish) bool { return w.Consumer == r.ConsumerID }) ||
			slices.ContainsFunc(r.Wishes, func(w scan.Wish) bool { return w.Kind == scan.WishPause || w.Kind == scan.WishDrain })
		if !meant && !r.Dead && r.State == scan.BalanceShares {
			takers++
		}
	}
	for n := range all {
		w, runs := &all[n], 0
		for i := range b.Processes {
			if r := &b.Processes[i]; r.ConsumerID == w.Consumer && !r.Dead {
				runs++
				say("%s", effect(w, r, will))
			}
		}
		if runs == 0 {
			warn("No process runs that says that its consumer ID is %s; the wish %s wait for one.%s", w.Consumer, will, older(b))
		}
	}
	kind := all[0].Kind
	if kind == scan.WishDrain && !b.FrozenUntil.IsZero() {
		warn("The service is frozen until %s: nothing is handed back before that, or before streamlease unfreeze.", local(b.FrozenUntil, c.now()))
	}
	if p.asks = takers == 0 && kind != scan.WishWeight && len(p.says) > 0; p.asks {
		warn("Nobody else takes streams: what is announced or handed back %s wait.", will)
	}
	return p
}

// effect says what a wish does to a process.
func effect(w *scan.Wish, r *scan.Process, will string) string {
	held := counted(r.Held, "stream")
	switch w.Kind {
	case scan.WishPause:
		return fmt.Sprintf("%s %s take no more streams, and keep the %s that it holds.", r.Name, will, held)
	case scan.WishDrain:
		return fmt.Sprintf("%s %s hand back the %s that it holds, and take no more. It runs on.", r.Name, will, held)
	}
	return fmt.Sprintf("%s, which has weight %v and holds %s, %s have weight %v.", r.Name, r.Weight, held, will, w.Weight)
}

// older says that there are processes of which nothing is known.
func older(b *scan.Balance) string {
	if b.Older == 0 {
		return ""
	}
	return fmt.Sprintf(" %s of an earlier version, which %s nothing of wishes.",
		quantity(b.Older, "process is", "processes are"), verb(b.Older, "knows", "know"))
}

// withdraw takes wishes of some kinds back.
func (c *call) withdraw(ctx context.Context, consumers []string, kinds ...scan.WishKind) error {
	all, err := c.inspector.Wishes(ctx)
	if err != nil {
		return err
	}
	result := wishesOutcome{Wishes: []wish{}, Warnings: []string{}}
	for n := range all {
		w := &all[n]
		if !slices.Contains(kinds, w.Kind) || !slices.Contains(consumers, w.Consumer) {
			continue
		}
		if err = c.withdrawOne(ctx, w); err != nil {
			break
		}
		result.Wishes = append(result.Wishes, wishOf(w))
	}
	for _, name := range consumers {
		if err == nil && !slices.ContainsFunc(result.Wishes, func(w wish) bool { return w.Consumer == name }) {
			err = nothing("%s", missing(kinds[0], name))
		}
	}
	if c.cmd.Bool("dry-run") {
		c.tell("Nothing was changed.")
	}
	result.outcome = c.outcome(err)
	return c.report(result, err)
}

func missing(kind scan.WishKind, consumer string) string {
	switch kind {
	case scan.WishFreeze:
		return "the service is not frozen"
	case scan.WishWeight:
		return fmt.Sprintf("nobody wishes another weight of %s", consumer)
	}
	return fmt.Sprintf("nobody wishes that %s is paused or drained", consumer)
}

func (c *call) withdrawOne(ctx context.Context, w *scan.Wish) error {
	what := string(w.Kind)
	if w.Consumer != "" {
		what += " of " + w.Consumer
	}
	if c.cmd.Bool("dry-run") {
		c.tell("%s, with %s left, would be taken back. It is for: %s", what, span(w.Left), w.Reason)
		return nil
	}
	err := c.inspector.Withdraw(ctx, w.Kind, w.Consumer)
	if unanswered(err) {
		return fmt.Errorf("%w; it may be taken back all the same: run the same command again, which does no harm", err)
	}
	if err == nil {
		c.tell("%s, with %s left, is taken back. It was for: %s", what, span(w.Left), w.Reason)
	}
	return err
}
