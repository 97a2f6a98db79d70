package lease

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

const (
	// MaxSaveWeight is the most that the checkpoints of one call weigh together, unless a single one weighs more.
	MaxSaveWeight = 64 << 10

	// maxSaves bounds the checkpoints of a call: HSET takes two arguments for each from Lua's stack, which holds 8,000.
	maxSaves = 1000

	// saveOverhead is what a checkpoint weighs besides its bytes and twice its stream's name.
	saveOverhead = 64
)

// Saving is one checkpoint that is to be stored. What is stored is "<token> <tag> <checkpoint>": lua/parts/checkpoint.lua
// has the tags.
type Saving struct {
	Lease *Lease // of the stream whose checkpoint it is
	Value string // without token and tag
}

// storedPattern is that of parse_checkpoint in lua/parts/checkpoint.lua.
var storedPattern = regexp.MustCompile(`^[0-9]+ (?:v|r|d[0-9]+) `)

// ParseCheckpoint returns the checkpoint of what is stored.
func ParseCheckpoint(stored string) (string, error) {
	head := storedPattern.FindString(stored)
	if head == "" {
		return "", refusedItem(badCheckpoint + " the checkpoint of the stream is of an unknown kind")
	}
	return stored[len(head):], nil
}

// Weight is what the checkpoint counts towards MaxSaveWeight.
func (s *Saving) Weight() int { return 2*len(s.Lease.Stream()) + len(s.Value) + saveOverhead }

// Savings are checkpoints that travel with another call.
type Savings struct {
	Number uint64 // of the call: see SaveCheckpoints
	Items  []Saving
}

// saving is a set of checkpoints on their way in one call.
type saving struct {
	items []Saving
	order []int // the items that are sent, in the order in which they are
	known []Verdict
}

// newSaving chooses those of items that fit into one call, in their order, and returns how many it has looked at.
func newSaving(items []Saving) (v *saving, looked int) {
	v = &saving{items: items, known: make([]Verdict, len(items))}
	weight := 0
	for i := range items {
		if len(items[i].Value) > api.MaxCheckpoint {
			v.known[i] = Refused
			continue
		}
		weight += items[i].Weight()
		if len(v.order) == maxSaves || len(v.order) > 0 && weight > MaxSaveWeight {
			return v, i
		}
		v.order = append(v.order, i)
	}
	return v, len(items)
}

// leave gives the items from at on a verdict: they are not sent.
func (v *saving) leave(at int, verdict Verdict) {
	for i := at; i < len(v.known); i++ {
		v.known[i] = verdict
	}
}

// appendTo appends what store_checkpoints in lua/parts/checkpoint.lua takes.
func (v *saving) appendTo(args []string, consumer string, number uint64) []string {
	args = append(args, "!"+consumer, strconv.FormatUint(number, 10))
	for _, i := range v.order {
		s := &v.items[i]
		args = append(args, "s"+s.Lease.Stream(), s.Lease.tokenText()+" v "+s.Value)
	}
	return args
}

// owned returns the values that leases have if consumer owns them, one a line.
func (v *saving) owned(consumer string, order []int) string {
	var values strings.Builder
	for j, i := range order {
		if j > 0 {
			values.WriteByte('\n')
		}
		writeOwnedValue(&values, consumer, v.items[i].Lease.tag)
	}
	return values.String()
}

// verdicts returns a verdict an item, given those on the items that were sent.
func (v *saving) verdicts(answer string) string {
	for j, i := range v.order {
		if j < len(answer) {
			v.known[i] = Verdict(answer[j])
		}
	}
	text := make([]byte, len(v.known))
	for i, verdict := range v.known {
		text[i] = byte(verdict)
	}
	return string(text)
}

// SaveCheckpoints stores checkpoints of leases of one partition, each if the lease is still its own: consumer, token and entry. number
// is from 1 to 2^53 and rises with each call of a session that stores checkpoints, whichever method: a call with a lower number than the
// server has seen stores nothing, so one that comes late puts nothing old in the place of something newer. There is a verdict an
// item: Saved, Lost, Missing, Stale, Refused, or 0 if the call for it failed; err is the first such failure. What is too much for one
// call goes out in several.
func (s *Store) SaveCheckpoints(ctx context.Context, p int, consumer string, number uint64, items []Saving) (verdicts string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	hash := s.layout.Keys(p).Checkpoints
	var parts []*saving
	var calls []Call
	var sent []int // index in parts of each call
	for len(items) > 0 {
		v, looked := newSaving(items)
		v.known, items = v.known[:looked], items[looked:]
		parts = append(parts, v)
		if len(v.order) == 0 {
			continue
		}
		keys := append(make([]string, 0, 1+len(v.order)), hash)
		for _, i := range v.order {
			keys = append(keys, v.items[i].Lease.key)
		}
		args := append(make([]string, 0, 3+2*len(v.order)), v.owned(consumer, v.order))
		calls = append(calls, Call{Script: scriptSave, Keys: keys, Args: v.appendTo(args, consumer, number)})
		sent = append(sent, len(parts)-1)
	}
	answers := make([]string, len(parts))
	for i, result := range s.rest.DoMulti(ctx, calls) {
		if text, failed := result.ToString(); failed == nil {
			answers[sent[i]] = text
		} else if err == nil {
			err = failed
		}
	}
	var all strings.Builder
	for i, v := range parts {
		all.WriteString(v.verdicts(answers[i]))
	}
	return all.String(), err
}

// SaveCheckpointsAlone is SaveCheckpoints with one script an item, which touches no other key than the checkpoints: for a slot that
// migrates. It stores a checkpoint only in the place of one that bears the lease's own token, as Acquire leaves it; otherwise the
// verdict is SavedLater, since the first checkpoint of a stream must wait until the slot has moved, and so must those of a session without
// a number there, which may have ended; or Lost if a later owner has stored one or this one has given the stream back.
func (s *Store) SaveCheckpointsAlone(ctx context.Context, p int, consumer string, number uint64, items []Saving) []Verdict {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	verdicts := make([]Verdict, len(items))
	var calls []Call
	var sent []int
	for i := range items {
		if len(items[i].Value) > api.MaxCheckpoint {
			verdicts[i] = Refused
			continue
		}
		one := saving{items: items, order: []int{i}}
		calls = append(calls, Call{
			Script: scriptSaveOne,
			Keys:   []string{s.layout.Keys(p).Checkpoints},
			Args:   one.appendTo([]string{items[i].Lease.tokenText()}, consumer, number),
		})
		sent = append(sent, i)
	}
	for j, result := range s.rest.DoMulti(ctx, calls) {
		text, err := result.ToString()
		if err == nil && len(text) == 1 {
			verdicts[sent[j]] = Verdict(text[0])
		} else if code, _ := Refusal(err); code == badCheckpoint {
			verdicts[sent[j]] = Refused
		}
	}
	return verdicts
}

// along adds checkpoints to a call for leases, as save_along in lua/parts/along.lua takes them.
func (c *Call) along(k *cluster.Keys, consumer string, leases []*Lease, saves Savings) *saving {
	if len(saves.Items) == 0 {
		return nil
	}
	v, looked := newSaving(saves.Items)
	v.leave(looked, SavedLater)
	if len(v.order) == 0 {
		return v
	}
	at := make(map[*Lease]int, len(leases))
	for i, l := range leases {
		at[l] = i + 1
	}
	var with, others []int
	var indices strings.Builder
	for _, i := range v.order {
		l := v.items[i].Lease
		if index := at[l]; index > 0 {
			with = append(with, i)
			indices.WriteString(strconv.Itoa(index))
			indices.WriteByte(' ')
		} else {
			others = append(others, i)
			c.Keys = append(c.Keys, l.key)
		}
	}
	v.order = append(with, others...)
	c.Keys = append(c.Keys, k.Checkpoints)
	c.Args = append(c.Args, strconv.Itoa(len(leases)), indices.String(), v.owned(consumer, others))
	c.Args = v.appendTo(c.Args, consumer, saves.Number)
	return v
}

// parseAlong reads what save_along appended to an answer.
func (v *saving) parseAlong(parts []rueidis.RedisMessage) (verdicts string, err error) {
	if v == nil {
		return "", nil
	}
	if len(v.order) == 0 {
		return v.verdicts(""), nil
	}
	if len(parts) < 2 {
		return v.verdicts(""), orMalformed("checkpoints", nil)
	}
	saved, err1 := parts[0].ToString()
	why, err2 := parts[1].ToString()
	switch {
	case err1 != nil || err2 != nil:
		err = orMalformed("checkpoints", nil)
	case why != "":
		err = refusedItem(why)
	}
	return v.verdicts(saved), err
}
