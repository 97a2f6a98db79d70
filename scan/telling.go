package scan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// telling is a Story while it is read.
type telling struct {
	*Inspector

	layout    *cluster.Layout
	stream    string
	partition int
	story     Story
	failed    []error

	at     time.Time       // by the server's clock
	living int             // consumers alive in the partition; -1: unknown
	alive  map[string]bool // their names
	taking map[BalanceState]int
}

func (t *telling) keys() *cluster.Keys { return t.layout.Keys(t.partition) }

// look says how long a collection is looked through.
type look struct {
	left    int // items
	scripts int
}

const (
	// storyScripts is how many scripts look through a collection, however heavy its items are, besides those that it takes for light
	// ones; and mostStoryScripts how many altogether, whatever CountLimit is.
	storyScripts     = 20
	mostStoryScripts = 2000
)

func (t *telling) newLook() look {
	most := max(t.set.CountLimit, 0)
	return look{left: most, scripts: min(storyScripts+most/maxInspectPage, mostStoryScripts)}
}

// next returns how many items the next script looks at; 0: no more.
func (l *look) next() int {
	if l.scripts--; l.scripts < 0 {
		return 0
	}
	return max(min(l.left, maxInspectPage), 0)
}

func (t *telling) unread(format string, args ...any) {
	t.story.Unread = append(t.story.Unread, fmt.Sprintf(format, args...))
}

func (t *telling) readOwnership(ctx context.Context) (err error) {
	t.story.Ownership, err = t.Owner(ctx, t.stream)
	if t.story.Ownership.At.After(t.at) {
		t.at = t.story.Ownership.At
	}
	return err
}

// readAgain reads who owns the stream once more if nobody did: it may have been taken meanwhile.
func (t *telling) readAgain(ctx context.Context) error {
	if pending, _, _ := t.story.count(); pending == 0 || t.story.Ownership.Consumer != "" {
		return nil
	}
	if err := t.readOwnership(ctx); err != nil {
		return nil // as before
	}
	return t.readFleet(ctx)
}

// readFleet reads who is alive, and what the owner says of itself.
func (t *telling) readFleet(ctx context.Context) error {
	k := t.keys()
	call, cancel := t.bounded(ctx)
	defer cancel()
	f, err := parseFleet(k, t.run.Do(call, fleetCall(k)))
	if err != nil {
		return explained(fmt.Sprintf("consumers of partition %d", t.partition), err)
	}
	t.alive, t.taking = make(map[string]bool), make(map[BalanceState]int)
	for _, name := range f.older {
		t.alive[name] = true
		t.taking[BalanceShares]++
	}
	run, id := runOf(t.story.Ownership.Consumer)
	rows := processRows{fill: -1}
	for _, m := range f.members {
		if m.alive {
			t.alive[m.name] = true
			t.taking[m.state]++
		}
		if of, _ := runOf(m.name); of == run {
			rows.add(m)
		}
	}
	t.living = len(t.alive)
	wishes, _, err := readWishes(call, t.run, t.layout)
	if t.story.Ownership.Consumer != "" && rows.any {
		p := rows.process(run, 0)
		for _, w := range wishes {
			if w.Consumer == id {
				p.Wishes = append(p.Wishes, w)
			}
		}
		t.story.Owner = &p
	}
	return explained("reading the wishes of service "+t.service, err)
}

func (t *telling) readSettling(ctx context.Context) error {
	parts, err := t.call(ctx, settlingCall(t.layout, t.partition), 2)
	if err != nil {
		return explained(fmt.Sprintf("whether partition %d settles", t.partition), err)
	}
	now, until, err := parseSettling(parts)
	if now.After(t.at) {
		t.at = now
	}
	t.story.Settling = until
	return err
}

func (t *telling) readCheckpoint(ctx context.Context) error {
	parts, err := t.call(ctx, lease.Call{Script: scriptCheckpointOf, Keys: []string{t.keys().Checkpoints}, Args: []string{"s" + t.stream}}, 1)
	if err == nil && !parts[0].IsNil() {
		t.story.Checkpoint, err = parseStored(textOf(parts, 0))
	}
	return explained(fmt.Sprintf("checkpoint of stream %.64q", t.stream), err)
}

// parseStored parses "<token> <tag> <checkpoint>".
func parseStored(stored string) (*StoredCheckpoint, error) {
	value, err := lease.ParseCheckpoint(stored)
	if err != nil {
		return nil, err
	}
	number, tag, _ := strings.Cut(stored[:len(stored)-len(value)], " ")
	token, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("its token is %.40q", number)
	}
	c := &StoredCheckpoint{Token: api.Token(token), Value: value}
	if done, ok := strings.CutPrefix(strings.TrimSpace(tag), "d"); ok {
		ms, _ := strconv.ParseFloat(done, 64)
		c.DoneAt = momentOf(ms)
	}
	return c, nil
}

func (t *telling) readDelayed(ctx context.Context) error {
	s := &t.story
	l, c := t.newLook(), t.delayedFrom(t.layout, t.partition, Selection{Stream: t.stream})
	for !c.atEnd {
		if c.most = l.next(); c.most == 0 || len(s.Delayed) >= storyItems {
			t.unread("what is delayed in partition %d after the first %d", t.partition, c.read)
			break
		}
		before := c.read
		page, err := t.delayedPage(ctx, &c)
		if err != nil {
			return explained("reading "+t.keys().Later, err)
		}
		for n := range page {
			page[n].member = ""
		}
		s.Delayed = append(s.Delayed, page...)
		l.left -= c.read - before
	}
	if len(s.Delayed) > storyItems {
		s.Delayed = s.Delayed[:storyItems:storyItems]
		t.unread("what is delayed of it in partition %d after the first %d", t.partition, storyItems)
	}
	return nil
}

func (t *telling) readLetters(ctx context.Context) error {
	s := &t.story
	l, at, seen := t.newLook(), place{partition: t.partition}, 0
	for more := true; more; more = at.after != "" {
		most := l.next()
		if most == 0 || len(s.Letters) >= storyItems {
			t.unread("the dead letters of partition %d before the last %d", t.partition, seen)
			break
		}
		page, after, looked, err := t.newest(ctx, t.layout, Selection{Stream: t.stream}, at, most, most)
		if err != nil {
			return explained("reading "+t.keys().DeadLetters, err)
		}
		s.Letters, at.after = append(s.Letters, page...), after
		seen, l.left = seen+looked, l.left-looked
	}
	if len(s.Letters) > storyItems {
		s.Letters = s.Letters[:storyItems:storyItems]
		t.unread("its dead letters in partition %d before the last %d", t.partition, storyItems)
	}
	return nil
}

// clientFails reports whether an error is of the client, so that the next call would fail, too.
func clientFails(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.Canceled)
}
