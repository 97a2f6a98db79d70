package lease

import (
	"context"
	"fmt"
	"strconv"
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
	Reason  string        // Refused
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

// parseTakes reads the verdicts on n entries, the token of the first one acquired, and the details of some.
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

// describe fills in the details of a verdict.
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
