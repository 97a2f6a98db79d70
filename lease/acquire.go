package lease

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
)

// Take is what became of one entry that was to be acquired.
type Take struct {
	Verdict Verdict
	Token   api.Token     // Acquired
	Left    time.Duration // HeldByOne: of the holder's lease, negative when its key has no TTL; Early: to go
	Holder  string        // HeldByOne: "<consumer> <token>"
	Reason  string        // Refused
}

// Read waits up to block for new entries of a partition and reads at most count of them. They are pending for consumer
// from then on, also when the answer gets lost.
func (s *Store) Read(ctx context.Context, p int, consumer string, count int, block time.Duration) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, block+s.timeout())
	defer cancel()
	k := s.layout.Keys(p)
	// UnblockOnCancel lets a read that is given up end by an answer, so that what it was given is known.
	read := s.client.B().Xreadgroup().Group(s.layout.Group(), consumer).Count(int64(count)).
		Block(block.Milliseconds()).Streams().Key(k.Input).Id(">").Build().UnblockOnCancel()
	answer, err := s.client.Do(ctx, read).AsXReadSlices()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, e := range answer[k.Input] {
		entries = append(entries, Entry{Partition: p, ID: e.ID, Body: e.FieldValues})
	}
	return entries, nil
}

// Acquire takes the leases of entries that are pending for consumer. The takes are in the order of the entries, and
// only there when the status is SessionLive.
func (s *Store) Acquire(ctx context.Context, p int, consumer string, entries []*Entry) (Status, []Take, error) {
	return s.acquire(ctx, scriptAcquire, p, consumer, entries)
}

func (s *Store) acquire(ctx context.Context, script *Script, p int, consumer string, entries []*Entry) (Status, []Take, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	keys := make([]string, 0, 3+len(entries))
	args := make([]string, 0, 4+2*len(entries))
	keys = append(keys, k.Input, k.Sessions, k.Token)
	args = append(args, consumer, s.layout.Group(), s.mode, s.lease)
	for _, e := range entries {
		keys = append(keys, e.Key)
		args = append(args, e.ID, strconv.FormatInt(e.NotBefore, 10))
	}
	parts, err := s.rest.Do(ctx, Call{Script: script, Keys: keys, Args: args}).ToArray()
	if err != nil {
		return SessionLost, nil, err
	}
	if len(parts) == 0 {
		return SessionLost, nil, fmt.Errorf("acquire: empty answer")
	}
	word, err := parts[0].ToString()
	if err != nil {
		return SessionLost, nil, fmt.Errorf("acquire: status: %w", err)
	}
	status := parseStatus(word)
	if status != SessionLive {
		return status, nil, nil
	}
	if len(parts) != 4 {
		return SessionLost, nil, fmt.Errorf("acquire: answer of %d parts", len(parts))
	}
	takes, err := parseTakes(parts[1:], len(entries))
	if err != nil {
		return SessionLost, nil, fmt.Errorf("acquire: %w", err)
	}
	return SessionLive, takes, nil
}

// parseTakes reads the verdicts on n entries, the token of the first that was taken, and what else there is to say of some.
func parseTakes(parts []rueidis.RedisMessage, n int) ([]Take, error) {
	verdicts, err := parts[0].ToString()
	if err != nil || len(verdicts) != n {
		return nil, fmt.Errorf("%d verdicts on %d entries: %w", len(verdicts), n, err)
	}
	text, err := parts[1].ToString()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	token, err := parseToken(text)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	takes := make([]Take, n)
	for i := range takes {
		takes[i].Verdict = Verdict(verdicts[i])
		if takes[i].Verdict == Acquired {
			takes[i].Token = token
			token++
		}
	}
	more, err := parts[2].ToArray()
	if err != nil {
		return nil, fmt.Errorf("details: %w", err)
	}
	for ; len(more) >= 3; more = more[3:] {
		index, err := more[0].AsInt64()
		if err != nil || index < 1 || int(index) > n {
			return nil, fmt.Errorf("details of entry %d of %d: %w", index, n, err)
		}
		takes[index-1].describe(&more[1], &more[2])
	}
	return takes, nil
}

// describe fills in what a verdict says beyond itself.
func (t *Take) describe(a, b *rueidis.RedisMessage) {
	switch t.Verdict {
	case HeldByOne, Early:
		left, _ := a.AsInt64()
		t.Left = time.Duration(left) * time.Millisecond
		t.Holder, _ = b.ToString()
	case Refused:
		t.Reason, _ = a.ToString()
	}
}

// PendingEntry is one entry that is pending for a consumer.
type PendingEntry struct {
	Entry
	Idle       time.Duration
	Deliveries int  // HeldDeliveries or more: it was owned
	Gone       bool // its body was deleted
}

// HeldDeliveries is the delivery count that acquire gives to an entry it takes; one that was only read has 1.
const HeldDeliveries = 2

// Pending reads one page of what is pending for consumer and idle for at least idle, after the given ID ("": from the
// first). A page shorter than count is not the last one; an empty one is.
func (s *Store) Pending(ctx context.Context, p int, consumer, after string, count int, idle time.Duration) ([]PendingEntry, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	from := "-"
	if after != "" {
		from = "(" + after
	}
	items, err := s.rest.Do(ctx, Call{
		Script: scriptPending,
		Keys:   []string{s.layout.Keys(p).Input},
		Args:   []string{s.layout.Group(), consumer, from, strconv.Itoa(count), ms(idle)},
	}).ToArray()
	if err != nil {
		return nil, err
	}
	page := make([]PendingEntry, 0, len(items))
	for _, item := range items {
		entry, err := ParsePending(p, item)
		if err != nil {
			return nil, fmt.Errorf("pending: %w", err)
		}
		page = append(page, entry)
	}
	return page, nil
}

// ParsePending reads { id, idle ms, deliveries, fields or false }, as scripts answer it, of partition p.
func ParsePending(p int, item rueidis.RedisMessage) (e PendingEntry, err error) {
	parts, err := item.ToArray()
	if err != nil {
		return e, err
	}
	if len(parts) != 4 {
		return e, fmt.Errorf("answer of %d parts", len(parts))
	}
	e.Partition = p
	if e.ID, err = parts[0].ToString(); err != nil {
		return e, err
	}
	idle, err1 := parts[1].AsInt64()
	deliveries, err2 := parts[2].AsInt64()
	if err1 != nil || err2 != nil {
		return e, fmt.Errorf("idle time and deliveries of %s: %w", e.ID, err1)
	}
	e.Idle, e.Deliveries = time.Duration(idle)*time.Millisecond, int(deliveries)
	fields, err := parts[3].AsStrSlice()
	if err != nil {
		e.Gone = true
		return e, nil
	}
	for i := 0; i+1 < len(fields); i += 2 {
		e.Body = append(e.Body, rueidis.XRangeFieldValue{Field: fields[i], Value: fields[i+1]})
	}
	return e, nil
}

// Copy adds entries to the partitions that their streams belong to, as they stand, in one pipeline. The originals are
// ended with Done after it. Results are in the order of the entries.
func (s *Store) Copy(ctx context.Context, entries []*Entry) []error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	commands := make(rueidis.Commands, len(entries))
	for i, e := range entries {
		add := s.client.B().Xadd().Key(s.layout.Keys(e.Home).Input).Id("*").FieldValue()
		for _, f := range e.Body {
			add = add.FieldValue(f.Field, f.Value)
		}
		commands[i] = add.Build()
	}
	errs := make([]error, len(entries))
	for i, result := range s.client.DoMulti(ctx, commands...) {
		errs[i] = result.Error()
	}
	return errs
}
