package lease

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
)

// Take is the result of acquiring one entry.
type Take struct {
	Verdict Verdict
	Token   api.Token     // Acquired
	Left    time.Duration // HeldByOne: TTL of the holder's lease, negative if its key has none; Early: time to wait
	Holder  string        // HeldByOne: "<consumer> <token>"
	Own     bool          // HeldByOne: under this very entry, which is its owner's
	Reason  string        // Refused

	// Checkpoint is that of the stream, Acquired; empty if it has none. With CheckpointErr it is not known, which does not mean that
	// there is none: it cannot be read, or the token could not be written into it. Nothing must be stored in its place.
	Checkpoint    string
	CheckpointErr error
}

// Acquire takes the leases of entries that are pending for consumer. There is one Take an entry, in their order, if the status
// is SessionLive, and none otherwise.
func (s *Store) Acquire(ctx context.Context, p int, consumer string, entries []*Entry) (Status, []Take, error) {
	return s.acquire(ctx, scriptAcquire, p, consumer, entries)
}

func (s *Store) acquire(ctx context.Context, script *Script, p int, consumer string, entries []*Entry) (Status, []Take, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	keys := make([]string, 0, 4+len(entries))
	args := make([]string, 0, 6+2*len(entries))
	keys = append(keys, k.Input, k.Sessions, k.Token, k.Checkpoints)
	args = append(args, consumer, s.layout.Group(), s.mode, s.lease)
	args = append(args, s.set.Balance.report(p)...)
	for _, e := range entries {
		keys = append(keys, e.Key)
		args = append(args, e.ID, strconv.FormatInt(e.NotBefore, 10))
	}
	call := Call{Script: script, Keys: keys, Args: args}
	parts, err := s.rest.doWith(ctx, p, []Call{call}, s.set.Balance.extra(), s.set.Signals.extra())[0].ToArray()
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
	if len(parts) < 7 {
		return SessionLost, nil, fmt.Errorf("acquire: answer of %d parts", len(parts))
	}
	if refused, _ := parts[5].ToString(); refused != "" {
		s.set.Signals.Refuse(p, refusedItem(refused))
	}
	s.set.Balance.take(p, &parts[6])
	takes, err := parseTakes(parts[1:], len(entries))
	if err != nil {
		return SessionLost, nil, fmt.Errorf("acquire: %w", err)
	}
	return SessionLive, takes, nil
}

// parseTakes reads the verdicts on n entries, the token of the first one acquired, the details of some, and checkpoints.
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
	if err := parseCheckpoints(parts[3], takes); err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	return takes, nil
}

// parseCheckpoints reads what hand_over in lua/parts/handover.lua returns.
func parseCheckpoints(part rueidis.RedisMessage, takes []Take) error {
	if why, err := part.ToString(); err == nil {
		for i := range takes {
			takes[i].CheckpointErr = refusedItem(why)
		}
		return nil
	}
	list, err := part.ToArray()
	for i := 0; err == nil && i < len(takes) && len(list) > 0; i++ {
		if takes[i].Verdict != Acquired {
			continue
		}
		if stored, err := list[0].ToString(); err == nil {
			takes[i].Checkpoint, takes[i].CheckpointErr = ParseCheckpoint(stored)
		} else if !rueidis.IsRedisNil(err) {
			takes[i].CheckpointErr = orMalformed("acquire", err)
		}
		list = list[1:]
	}
	return err
}

// describe fills in the details of a verdict.
func (t *Take) describe(a, b *rueidis.RedisMessage) {
	switch t.Verdict {
	case HeldByOne, Early:
		left, _ := a.AsInt64()
		t.Left = time.Duration(left) * time.Millisecond
		t.Holder, _ = b.ToString()
		t.Holder, t.Own = strings.CutSuffix(t.Holder, " =")
	case Refused:
		t.Reason, _ = a.ToString()
	}
}
