package lease

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// Verdict is a script's answer to one item of its batch. An unknown one counts as not owned.
type Verdict byte

const (
	Kept    Verdict = 'k' // renew, verify: still ours, extended; keep: as it should be
	Lost    Verdict = 'l' // renew, verify: another's, or gone
	Missing Verdict = 'm' // renew: not there, while the partition settles; verify decides

	Finished   Verdict = 'd' // done: acknowledged, deleted, freed
	Moved      Verdict = 'm' // requeue: copied, acknowledged, deleted, freed
	NotPending Verdict = 'n' // done, requeue, acquire: not pending for this consumer
	Owned      Verdict = 'o' // done, requeue: the stream is owned under another token
	Gone       Verdict = 'g' // acquire, requeue, restore, keep, verify: somebody deleted the body; acknowledged, except by keep and verify
	Full       Verdict = 'f' // requeue: the dead-letter stream is full; delayed
	TooWide    Verdict = 'u' // requeue: more fields than can be copied
	TooHeavy   Verdict = 'b' // requeue: too heavy to be copied
	Bare       Verdict = 'z' // requeue: no field that a copy would keep
	Referred   Verdict = 'r' // requeue: a dead letter refers to it; acknowledged, freed, not deleted
	Left       Verdict = 't' // requeue, keep: not processed, since those before it weigh enough for one call
	Refused    Verdict = 'x' // done, requeue, acquire: an error, nothing changed

	Acquired  Verdict = 'a' // acquire: ours now
	HeldByOne Verdict = 'h' // acquire: somebody owns the stream
	Early     Verdict = 'e' // acquire: before its _not_before

	PendingAgain Verdict = 'r' // keep: it was not pending for its owner, and is so again
	Undelivered  Verdict = 'w' // keep: not delivered to anybody yet
	FromMemory   Verdict = 'c' // restore: its body is gone; announced again as this process remembers it
)

// Renewal is the answer to one batch.
type Renewal struct {
	Beat
	Verdicts string // a Verdict a lease; empty when the session was lost
	Waiting  []int  // leases of the batch for whose stream another announcement waits, by their index
	Err      error
}

// Verdict returns that of the i-th lease of the batch: Lost if the answer has none.
func (r *Renewal) Verdict(i int) Verdict {
	if i >= len(r.Verdicts) {
		return Lost
	}
	return Verdict(r.Verdicts[i])
}

// Renew sends a beat and extends leases of one partition in one pipeline, one script a batch. floor is the greatest token known.
// It appends an answer a batch to out and returns that.
func (s *Store) Renew(ctx context.Context, p int, consumer string, floor api.Token, batches [][]*Lease, out []Renewal) []Renewal {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	head := [...]string{consumer, s.ttl, s.record, s.gap, s.mode, floor.String(), s.lease}
	calls := make([]Call, len(batches))
	for i, batch := range batches {
		calls[i] = renewal(k, consumer, head[:], batch)
	}
	for _, result := range s.renew.DoMulti(ctx, calls) {
		out = append(out, parseRenewal(result))
	}
	return out
}

// renewal returns the call for one batch; head has the arguments that all batches share, the consumer first.
func renewal(k *cluster.Keys, consumer string, head []string, batch []*Lease) Call {
	keys := make([]string, 0, 3+len(batch))
	keys = append(keys, k.Sessions, k.Later, k.Token)
	room := 0
	for _, l := range batch {
		keys = append(keys, l.key)
		room += ownedValueSize(consumer, l.tag) + len("\n")
	}
	var values strings.Builder
	values.Grow(room)
	for j, l := range batch {
		if j > 0 {
			values.WriteByte('\n')
		}
		writeOwnedValue(&values, consumer, l.tag)
	}
	return Call{Script: scriptRenew, Keys: keys, Args: append(head[:len(head):len(head)], values.String())}
}

func parseRenewal(result rueidis.RedisResult) (r Renewal) {
	parts, err := result.ToArray()
	if err != nil {
		return Renewal{Err: err}
	}
	if r.Beat, r.Err = parseBeat(parts); r.Err != nil || r.Status == SessionLost {
		return r
	}
	if len(parts) != beatParts+2 {
		return Renewal{Err: fmt.Errorf("renew: answer of %d parts", len(parts))}
	}
	if r.Verdicts, err = parts[beatParts].ToString(); err != nil {
		return Renewal{Err: fmt.Errorf("renew: verdicts: %w", err)}
	}
	waiting, err := parts[beatParts+1].ToArray()
	if err != nil {
		return Renewal{Err: fmt.Errorf("renew: waiting: %w", err)}
	}
	for i := 0; i+1 < len(waiting); i += 2 {
		index, err := waiting[i].AsInt64()
		if err == nil && index >= 1 && int(index) <= len(r.Verdicts) {
			r.Waiting = append(r.Waiting, int(index)-1)
		}
	}
	return r
}

// Extend renews leases with one script each, which touches no other key: for a slot that migrates. It extends no session. If the
// call for a lease fails, its verdict is 0.
func (s *Store) Extend(ctx context.Context, consumer string, leases []*Lease) []Verdict {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	calls := make([]Call, len(leases))
	for i, l := range leases {
		calls[i] = Call{Script: scriptExtend, Keys: []string{l.key}, Args: []string{ownedValue(consumer, l.tag), s.lease}}
	}
	verdicts := make([]Verdict, len(leases))
	for i, result := range s.renew.DoMulti(ctx, calls) {
		if text, err := result.ToString(); err == nil && len(text) == 1 {
			verdicts[i] = Verdict(text[0])
		}
	}
	return verdicts
}

// Verify restores leases that Renew found missing while the partition settles. verdicts is shorter than leases if the session
// was lost.
func (s *Store) Verify(ctx context.Context, p int, consumer string, leases []*Lease) (verdicts string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	keys := []string{k.Input, k.Sessions, k.Token}
	args := []string{consumer, s.layout.Group(), s.mode, s.lease}
	for _, l := range leases {
		keys = append(keys, l.key)
		args = append(args, l.tag)
	}
	parts, err := s.renew.Do(ctx, Call{Script: scriptVerify, Keys: keys, Args: args}).ToArray()
	if err != nil {
		return "", err
	}
	if len(parts) != 2 {
		return "", nil // { 'lost' }
	}
	return parts[1].ToString()
}
