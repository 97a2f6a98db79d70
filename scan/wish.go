package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// WishKind says what an operator wishes.
type WishKind string

const (
	// WishPause: the consumer takes no more streams, and keeps those that it holds.
	WishPause WishKind = "pause"
	// WishDrain: the consumer hands back all streams that it holds, and takes no more. It keeps running.
	WishDrain WishKind = "drain"
	// WishWeight: the consumer has this weight instead of the one that its program sets.
	WishWeight WishKind = "weight"
	// WishFreeze: no stream is moved, neither to even out how many each process holds nor because one is to be emptied. A process that
	// shuts down hands its streams back all the same. It is for all consumers.
	WishFreeze WishKind = "freeze"
)

// Limits of a Wish.
const (
	// MinWish and MaxWish are the shortest and the longest time that a wish may be asked for.
	MinWish = time.Second
	MaxWish = 7 * 24 * time.Hour

	// MinWeight and MaxWeight are the limits of a weight. They span what differs between machines, with a margin.
	MinWeight = 0.01
	MaxWeight = 1000

	// MaxReason is the greatest length of a reason, in bytes: a line of a log.
	MaxReason = 200

	// MaxWishes is how many wishes a service keeps. Each process reads them all; 10,000 take the server some 10 ms.
	MaxWishes = 10_000
)

// mostLeft is more than any wish can have left. The clock may be set back by the difference to MaxWish without ending a wish.
const mostLeft = MaxWish + 24*time.Hour

// ErrTooManyWishes means that a service has MaxWishes that have not ended: withdraw some.
var ErrTooManyWishes = errors.New("scan: the service has too many wishes; withdraw some")

// Wish is what an operator wishes of a consumer, or of all, for a time. It ends by itself, and is on record for the whole service until
// then.
type Wish struct {
	// Kind is what is wished.
	Kind WishKind

	// Consumer is the consumer ID, the same in each run of a process: the name of its pod, unless the program sets another
	// (engine.WithConsumerID). It need not be running: the wish is for whatever run there is until it ends. Empty with WishFreeze.
	Consumer string

	// Weight is the weight of WishWeight, from MinWeight to MaxWeight, rounded to thousandths. 1 is the default of a process; one of 2 is to
	// hold twice as many streams. Zero with other kinds.
	Weight float64

	// For is how long the wish lasts from when it is recorded, by the server's clock, from MinWish to MaxWish. It must be set in what is
	// asked, and is zero in what is read.
	For time.Duration

	// Left is how long it lasts from when it is read; what is asked need not have it.
	Left time.Duration

	// Reason is who wishes it, and why, for the log of the process that obeys: up to MaxReason bytes of UTF-8 in one line. It may be empty.
	Reason string
}

// runName is how the name of a run ends; see engine.Engine.ID.
var runName = regexp.MustCompile(`\.[A-Z2-7]{12}(-\d+)?$`)

// validate returns an error unless the wish may be asked for.
func (w *Wish) validate() error {
	invalid := func(format string, args ...any) error {
		return fmt.Errorf("%w: wish: "+format, append([]any{api.ErrInvalidConfig}, args...)...)
	}
	if err := validateWished(w.Kind, w.Consumer); err != nil {
		return err
	}
	switch {
	case !w.weighs() && w.Kind == WishWeight:
		return invalid("Weight is %v, must be from %v to %v", w.Weight, MinWeight, MaxWeight)
	case !w.weighs():
		return invalid("Weight is %v, must be 0 with kind %s, which has none", w.Weight, w.Kind)
	case w.For < MinWish || w.For > MaxWish:
		return invalid("For is %v, must be from %v to %v: a wish ends by itself", w.For, MinWish, MaxWish)
	case len(w.Reason) > MaxReason:
		return invalid("Reason has %d bytes, the limit is %d", len(w.Reason), MaxReason)
	case !utf8.ValidString(w.Reason) || strings.ContainsFunc(w.Reason, unicode.IsControl):
		return invalid("Reason is %q, must be one line of UTF-8", w.Reason)
	}
	return nil
}

// weighs reports whether the weight is one that a wish of its kind may have.
func (w *Wish) weighs() bool {
	if w.Kind == WishWeight {
		return w.Weight >= MinWeight && w.Weight <= MaxWeight
	}
	return w.Weight == 0
}

// validateWished returns an error unless there may be a wish of this kind for a consumer.
func validateWished(kind WishKind, consumer string) error {
	switch kind {
	case WishFreeze:
		if consumer != "" {
			return fmt.Errorf("%w: wish: Consumer is %q, must be empty: %s is for all", api.ErrInvalidConfig, consumer, kind)
		}
		return nil
	case WishPause, WishDrain, WishWeight:
	default:
		return fmt.Errorf("%w: wish: Kind is %q, must be one of %s, %s, %s and %s", api.ErrInvalidConfig, kind, WishPause, WishDrain, WishWeight, WishFreeze)
	}
	if runName.MatchString(consumer) {
		_, id := runOf(consumer)
		return fmt.Errorf("%w: wish: Consumer is %q, the name of one run; give the consumer ID, %q", api.ErrInvalidConfig, consumer, id)
	}
	if err := cluster.ValidateConsumerID(consumer); err != nil {
		return fmt.Errorf("wish: %w", err)
	}
	return nil
}

// wishField returns the field in which a wish is kept. Pause and drain have the same, so that each replaces the other.
func wishField(kind WishKind, consumer string) string {
	if kind == WishPause || kind == WishDrain {
		return "streams:" + consumer
	}
	return string(kind) + ":" + consumer
}

// parseWish reads a wish as ask.lua writes it. ok is false for one that has ended, and for one that this version does not know. A reason
// may be longer than this version lets it be.
func parseWish(field, value string, now int64) (w Wish, ok bool) {
	words := strings.SplitN(value, " ", 4)
	_, consumer, found := strings.Cut(field, ":")
	if len(words) != 4 || !found {
		return w, false
	}
	w.Kind, w.Consumer = WishKind(words[0]), consumer
	w.Reason = strings.ToValidUTF8(words[3][:min(len(words[3]), MaxReason)], "")
	end, ok1 := parseDigits(words[1], 15)
	weight, ok2 := parseDigits(words[2], 9)
	if !ok1 || !ok2 || end <= now || end > now+mostLeft.Milliseconds() {
		return Wish{}, false
	}
	w.Left = time.Duration(end-now) * time.Millisecond
	if w.Kind == WishWeight {
		w.Weight = float64(weight) / 1000
	}
	if validateWished(w.Kind, consumer) != nil || wishField(w.Kind, consumer) != field || !w.weighs() {
		return Wish{}, false
	}
	return w, true
}

// Ask records a wish, in the place of an earlier one of the same kind for the same consumer; WishPause and WishDrain replace each other,
// too. Processes learn of it within about a second, or, where they cannot be signalled, when they look by themselves. They obey for as long
// as it has not ended, those that start later included. Processes of an earlier version know nothing of wishes. Repartition keeps wishes,
// DeleteService deletes them.
//
// After an error that leaves it open whether the call ran, it may be repeated; until then it may still run, and replace what somebody
// else asks. Errors match api.ErrInvalidConfig, ErrTooManyWishes or ErrUnknownService, or are those of the client.
func (i *Inspector) Ask(ctx context.Context, w Wish) error {
	if err := w.validate(); err != nil {
		return err
	}
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	parts, err := i.changeWishes(ctx, layout, lease.Call{Script: scriptAsk, Args: []string{
		wishField(w.Kind, w.Consumer), string(w.Kind), ms(w.For), strconv.FormatInt(int64(math.Round(w.Weight*1000)), 10), w.Reason,
		strconv.Itoa(MaxWishes), ms(mostLeft),
	}}).ToArray()
	if err == nil && textOf(parts, 0) == "many" {
		return fmt.Errorf("%w: %s has %s fields, the limit is %d", ErrTooManyWishes, layout.Wishes(), textOf(parts, 1), MaxWishes)
	}
	return explained(fmt.Sprintf("recording wish %s %s", w.Kind, w.Consumer), err)
}

// Withdraw takes back the wish of a kind for a consumer, which is empty with WishFreeze. It returns nil where there is none. Errors match
// api.ErrInvalidConfig or ErrUnknownService, or are those of the client.
func (i *Inspector) Withdraw(ctx context.Context, kind WishKind, consumer string) error {
	if err := validateWished(kind, consumer); err != nil {
		return err
	}
	layout, err := i.layout(ctx)
	if err != nil {
		return err
	}
	err = i.changeWishes(ctx, layout, lease.Call{Script: scriptWithdraw, Args: []string{wishField(kind, consumer), string(kind)}}).Error()
	return explained(fmt.Sprintf("taking back wish %s %s", kind, consumer), err)
}

// changeWishes makes a call that changes the wishes and signals that. A server that refuses the key of signals, to this user or because
// a slot migrates, refuses the whole call. Nothing was done then, and it is made again without.
func (i *Inspector) changeWishes(ctx context.Context, layout *cluster.Layout, c lease.Call) rueidis.RedisResult {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	c.Keys = []string{layout.Wishes(), layout.Keys(0).Signals}
	result := i.run.Do(ctx, c)
	if code, _ := lease.Refusal(result.Error()); code == "NOPERM" || code == "TRYAGAIN" {
		c.Keys = c.Keys[:1]
		result = i.run.Do(ctx, c)
	}
	return result
}

// Wishes returns the wishes that have not ended, by consumer and kind. Those of kinds that only a later version knows are not among them.
// Errors match ErrUnknownService, or are those of the client.
func (i *Inspector) Wishes(ctx context.Context) ([]Wish, error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	all, _, err := readWishes(ctx, i.run, layout)
	return all, explained("reading the wishes of service "+i.service, err)
}

// Wishes returns the wishes that have not ended, by consumer and kind.
func (s *Store) Wishes(ctx context.Context) ([]Wish, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	all, _, err := readWishes(ctx, s.run, s.layout)
	return all, err
}

// readWishes also returns when that was, by the server's clock.
func readWishes(ctx context.Context, run *lease.Runner, layout *cluster.Layout) (all []Wish, at time.Time, err error) {
	parts, err := run.Do(ctx, lease.Call{
		Script: scriptWishes, Keys: []string{layout.Wishes()}, Args: []string{strconv.Itoa(MaxWishes)},
	}).ToArray()
	if err != nil || len(parts) != 2 {
		return nil, at, orMalformed(err)
	}
	if textOf(parts, 0) == "many" {
		return nil, at, tooLarge(layout.Wishes(), textOf(parts, 1), MaxWishes)
	}
	now, err1 := parts[0].AsInt64()
	flat, err2 := parts[1].AsStrSlice()
	if err := errors.Join(err1, err2); err != nil {
		return nil, at, err
	}
	for n := 0; n+1 < len(flat); n += 2 {
		if w, ok := parseWish(flat[n], flat[n+1], now); ok {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b Wish) int {
		return cmp.Or(strings.Compare(a.Consumer, b.Consumer), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	return all, time.UnixMilli(now), nil
}
