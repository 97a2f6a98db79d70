package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// Memory is what this process remembers of an announcement, so that it can announce it again if somebody deletes the body. It
// lacks fields that a producer added besides the announcement.
type Memory struct {
	Stream  string // empty: nothing is remembered
	Info    json.RawMessage
	Retries int
	Crashes int
}

// Memory returns what a lease keeps of its announcement.
func (l *Lease) Memory() Memory {
	return Memory{Stream: l.Stream(), Info: l.info, Retries: int(l.retries), Crashes: int(l.crashes)}
}

// Memory returns what an entry keeps of its announcement; nothing if that could not be parsed, or was cut.
func (e *Entry) Memory() Memory {
	if e.TextSize > 0 {
		return Memory{}
	}
	return Memory{Stream: e.Stream, Info: e.Info, Retries: e.Retries, Crashes: e.Crashes}
}

// text returns the announcement, "" if nothing is remembered.
func (m *Memory) text() string {
	if m.Stream == "" {
		return ""
	}
	info := m.Info
	if string(info) == string(noInfo) {
		info = nil
	}
	text, err := EncodeAnnouncement(m.Stream, info)
	if err != nil {
		return ""
	}
	return text
}

// Restorable is an entry that was to be requeued but was no longer pending or had no body.
type Restorable struct {
	Disposition
	Memory Memory // announced again if the body is gone; zero: not announced again
}

// markPrefix begins the name in the key that marks an entry as moved. The key is that of a consumer's recovery otherwise, and no
// consumer's name begins so.
const markPrefix = "!"

// Restore requeues what is left of entries that somebody acknowledged, deleted or trimmed. Each goes where its Disposition says:
// its body or, if that is gone, the announcement from memory. Repeated after a lost answer, it moves nothing twice: entries that
// it might announce from memory are marked for an hour. The caller knows that nobody has moved the entries on purpose.
func (s *Store) Restore(ctx context.Context, p int, consumer string, items []Restorable) ([]Outcome, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	keys, args := s.moveHead(p, consumer, len(items), 2, dispositionArgs+3)
	dead := false
	for i := range items {
		x := &items[i]
		var letters bool
		keys, args, letters = AppendDispositions(keys, args, []Disposition{x.Disposition})
		keys = append(keys, k.Recover(markPrefix+x.Entry))
		args = append(args, x.Memory.text(), strconv.Itoa(x.Memory.Retries), strconv.Itoa(x.Memory.Crashes))
		dead = dead || letters
	}
	if dead {
		keys = append(keys, k.DeadLetters)
	}
	keys, args = appendLeavings(k, keys, args, len(items), func(i int) *Disposition { return &items[i].Disposition }, false)
	return ParseOutcomes(s.rest.DoWith(ctx, s.set.Signals, p, Call{Script: scriptRestore, Keys: keys, Args: args}), len(items))
}

// Keepable is an entry that should be pending for this process.
type Keepable struct {
	Key   string // of the lease
	Entry string
	Token string // that it is held under; empty: the entry waits in this process
}

// Keep makes entries pending again for consumer, which owns their streams or has the entries waiting. The outcomes are in the
// order of the entries; there are some only if the status is SessionLive. The call is to be repeated for those that are Left.
func (s *Store) Keep(ctx context.Context, p int, consumer string, items []Keepable) (Status, []Outcome, error) {
	return s.keep(ctx, scriptKeep, p, consumer, items)
}

func (s *Store) keep(ctx context.Context, script *Script, p int, consumer string, items []Keepable) (Status, []Outcome, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	keys := make([]string, 0, 2+len(items))
	args := make([]string, 0, 3+2*len(items))
	keys = append(keys, k.Input, k.Sessions)
	args = append(args, consumer, s.layout.Group(), strconv.Itoa(MaxCallWeight))
	for _, x := range items {
		keys = append(keys, x.Key)
		args = append(args, x.Entry, x.Token)
	}
	parts, err := s.rest.Do(ctx, Call{Script: script, Keys: keys, Args: args}).ToArray()
	if err != nil {
		return SessionLost, nil, err
	}
	if len(parts) == 0 {
		return SessionLost, nil, fmt.Errorf("keep: empty answer")
	}
	word, err := parts[0].ToString()
	if err != nil || parseStatus(word) != SessionLive {
		return SessionLost, nil, err
	}
	outcomes, err := parseOutcomes(parts[1:], len(items))
	return SessionLive, outcomes, err
}

// IDPage is a page of the IDs of what is pending for a consumer.
type IDPage struct {
	IDs []string

	// Of the first page only.
	Length  int    // of the input stream
	Pending int    // entries pending for anybody
	First   string // ID of the first entry in the stream; empty: none. Pending entries before it have no body
}

// PendingIDs reads one page of the IDs of what is pending for consumer, after the given ID ("": from the first). A page
// shorter than count is the last one.
func (s *Store) PendingIDs(ctx context.Context, p int, consumer, after string, count int) (page IDPage, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	from := "-"
	if after != "" {
		from = "(" + after
	}
	parts, err := s.rest.Do(ctx, Call{
		Script: scriptIDs,
		Keys:   []string{s.layout.Keys(p).Input},
		Args:   []string{s.layout.Group(), consumer, from, strconv.Itoa(count)},
	}).ToArray()
	if err != nil {
		return page, err
	}
	if len(parts) < 3 {
		return page, orMalformed("ids", nil)
	}
	length, err1 := parts[0].AsInt64()
	pending, err2 := parts[1].AsInt64()
	first, err3 := parts[2].ToString()
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return page, orMalformed("ids", err)
		}
	}
	page.Length, page.Pending, page.First = int(length), int(pending), first
	page.IDs = make([]string, len(parts)-3)
	for i := range page.IDs {
		if page.IDs[i], err = parts[3+i].ToString(); err != nil {
			return page, orMalformed("ids", err)
		}
	}
	return page, nil
}

// Attend shows that consumer is at work, and returns how many entries are pending for it.
func (s *Store) Attend(ctx context.Context, p int, consumer string) (pending int, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := s.rest.Do(ctx, Call{
		Script: scriptAttend, Keys: []string{s.layout.Keys(p).Input}, Args: []string{consumer, s.layout.Group()},
	}).AsInt64()
	return int(n), err
}

// BeforeID returns the greatest ID below id.
func BeforeID(id string) string {
	ms, seq := splitID(id)
	if seq > 0 {
		return strconv.FormatUint(ms, 10) + "-" + strconv.FormatUint(seq-1, 10)
	}
	if ms == 0 {
		return "0-0"
	}
	return strconv.FormatUint(ms-1, 10) + "-" + strconv.FormatUint(^uint64(0), 10)
}
