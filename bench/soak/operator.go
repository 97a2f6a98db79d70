package soak

import (
	"context"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/bench/measure"
	"github.com/streamlease/streamlease/bench/pod"
	"github.com/streamlease/streamlease/test/journal"
)

// actEvery is the average time between two acts of an operator in session TTLs.
const actEvery = 2

// groupScript is prepended to both scripts, which call its functions.
//
//go:embed group.lua
var groupScript string

//go:embed acts.lua
var actsScript string

// entryState is the state of an entry right before an operator tampered with it.
type entryState int

const (
	waiting  entryState = iota // not delivered yet
	read                       // pending, and no lease names it
	held                       // pending, and its lease names it
	stranded                   // delivered and not pending: it was tampered with before
)

func (w entryState) String() string {
	return [...]string{"waiting", "read", "held", "stranded"}[w]
}

// act is what an operator did to one entry.
type act struct {
	what        string
	from, until time.Duration // the act was in between, on the clock of the journals
	where       string        // key of the input stream, and ID of the entry
	which       announcement  // zero: the entry cannot be read
	was         entryState
	consumer    string    // for which it was pending
	token       api.Token // of its lease
	gone        bool      // the body was deleted, too
}

// announcement is one of several announcements of a stream, work its number from 1.
type announcement struct{ stream, work int }

// operator does by hand what nobody should do: acknowledge and delete entries, trim the input stream, delete the consumers of
// live pods. It notes the state of each entry right before, since for some of them nobody can find out afterwards.
type operator struct {
	store   *store
	outages *outages
	session time.Duration
	acts    []string // what it may do
	rnd     *rand.Rand
	struck  map[string]int

	last    map[announcement]act // by announcement that can be read: the last act, without those on entries that were stranded before
	entries map[string]act       // likewise, by act.where
	gone    map[string]bool      // by act.where: the body was deleted, too
	erased  int                  // how many of gone cannot be read
}

func newOperator(s *store, out *outages, acts []string, session time.Duration, rnd *rand.Rand) *operator {
	return &operator{store: s, outages: out, session: session, acts: acts, rnd: rnd, struck: make(map[string]int),
		last: make(map[announcement]act), entries: make(map[string]act), gone: make(map[string]bool)}
}

// run does one act after the other until ctx ends.
func (o *operator) run(ctx context.Context) error {
	for measure.Pause(ctx, time.Duration(actEvery*o.rnd.ExpFloat64()*float64(o.session))) == nil {
		if err := o.one(context.WithoutCancel(ctx)); err != nil { // a cancelled act would have an unknown outcome
			return err
		}
	}
	return nil
}

// one does one act, while the server is up.
func (o *operator) one(ctx context.Context) error {
	if o.outages != nil {
		o.outages.down.RLock()
		defer o.outages.down.RUnlock()
	}
	ctx, cancel := context.WithTimeout(ctx, pod.Patience)
	defer cancel()
	what := o.acts[o.rnd.IntN(len(o.acts))]
	share := o.rnd.Float64() / 4 // of the pending entries
	if what == actTrimmed {
		share = o.rnd.Float64() // of the stream, which is kept
	}
	k := o.store.layout.Keys(o.rnd.IntN(o.store.layout.Partitions()))
	c := o.store.client
	from := journal.Monotonic()
	parts, err := c.Do(ctx, c.B().Eval().Script(groupScript+actsScript).Numkeys(2).Key(k.Input, k.Sessions).
		Arg(what, o.store.layout.Group(), k.LeasePrefix(), strconv.FormatFloat(share, 'f', 6, 64), strconv.Itoa(o.rnd.IntN(1<<30))).Build()).ToArray()
	until := journal.Monotonic()
	if err != nil || len(parts) != 2 {
		return fmt.Errorf("by hand, %s: %w", what, err)
	}
	rows, err := parts[1].ToArray()
	if err != nil {
		return err
	}
	for _, row := range rows {
		a, err := o.store.parseAct(row, k.Input)
		if err != nil {
			return fmt.Errorf("by hand, %s: %w", what, err)
		}
		a.what, a.from, a.until = what, from, until
		a.gone = what == actDeleted || what == actTrimmed
		o.note(a)
	}
	return nil
}

func (o *operator) note(a act) {
	o.struck[a.what]++
	if a.gone {
		o.gone[a.where] = true
		if a.which == (announcement{}) {
			o.erased++
		}
	}
	if a.was == stranded {
		return // the first act counts
	}
	o.entries[a.where] = a
	if a.which != (announcement{}) {
		o.last[a.which] = a
	}
}

// parseAct parses a row of the script's answer.
func (s *store) parseAct(row rueidis.RedisMessage, input string) (a act, err error) {
	parts, err := row.AsStrSlice()
	if err != nil || len(parts) != 5 {
		return a, fmt.Errorf("malformed answer: %w", err)
	}
	id, delivered, lease := parts[0], parts[2] == "y", parts[3]
	a.where, a.consumer = input+" "+id, parts[1]
	a.which, _ = s.announcement(parts[4])
	switch {
	case a.consumer == "" && delivered:
		a.was = stranded
	case a.consumer == "":
		a.was = waiting
	default:
		a.was = read
		if words := strings.Fields(lease); len(words) >= 3 && words[0] == a.consumer && words[2] == id {
			a.was = held
			token, err := strconv.ParseUint(words[1], 10, 64)
			if err != nil {
				return a, err
			}
			a.token = api.Token(token)
		}
	}
	return a, nil
}

// announcement identifies an announcement by the beginning of its text.
func (s *store) announcement(text string) (which announcement, ok bool) {
	match := s.text.FindStringSubmatch(text)
	if match == nil {
		return which, false
	}
	stream, err := strconv.Atoi(match[1])
	if err != nil {
		return which, false
	}
	work, err := strconv.Atoi(match[2])
	return announcement{stream, work}, err == nil
}

// announcementText matches the beginning of the announcements of a soak.
func announcementText(prefix string) *regexp.Regexp {
	return regexp.MustCompile(`^\{"DataStreamName":"` + regexp.QuoteMeta(prefix) + `(\d+)","Info":\{"Work":(\d+)[,}]`)
}
