package lease

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
)

// Renewal is the answer to one batch.
type Renewal struct {
	Beat
	Verdicts string // a Verdict a lease; empty when the session was lost
	Waiting  []int  // leases of the batch for whose stream another announcement waits, by their index
	Err      error

	// Saved has a Verdict for each checkpoint that went along; none, or 0, if it may have been stored. SaveErr is why they were
	// refused, all of them, while the leases were renewed.
	Saved   string
	SaveErr error
}

// Verdict returns that of the i-th lease of the batch: Lost if the answer has none.
func (r *Renewal) Verdict(i int) Verdict {
	if i >= len(r.Verdicts) {
		return Lost
	}
	return Verdict(r.Verdicts[i])
}

// Renew sends a beat and extends leases of one partition in one pipeline, one script a batch. floor is the greatest token known.
// saves is nil, or has the checkpoints that go along with each batch: of leases of the partition, whether they are in the batch
// or not; those that are cost less. What is more than one call takes is SavedLater. It appends an answer a batch to out and
// returns that.
func (s *Store) Renew(ctx context.Context, p int, consumer string, floor api.Token, batches [][]*Lease, saves []Savings,
	out []Renewal) []Renewal {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	head := [...]string{consumer, s.ttl, s.record, s.gap, s.mode, floor.String(), s.lease}
	calls := make([]Call, len(batches))
	along := make([]*saving, len(saves))
	for i, batch := range batches {
		calls[i] = renewal(k, consumer, head[:], batch, s.set.Signals.Position(p), s.set.Balance.reportIfDue(p))
		if saves != nil {
			along[i] = calls[i].along(k, consumer, batch, saves[i])
		}
	}
	for i, result := range s.renew.doWith(ctx, p, calls, s.set.Balance.extra(), s.set.Signals.extra()) {
		var v *saving
		if saves != nil {
			v = along[i]
		}
		out = append(out, s.parseRenewal(p, result, v))
	}
	return out
}

// renewal returns the call for one batch; head has the arguments that all batches share, the consumer first.
func renewal(k *cluster.Keys, consumer string, head []string, batch []*Lease, position string, report []string) Call {
	keys := make([]string, 0, 4+len(batch)) // with room for signals
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
	return Call{Script: scriptRenew, Keys: keys, Args: append(append(head[:len(head):len(head)], values.String(), position), report...)}
}

func (s *Store) parseRenewal(p int, result rueidis.RedisResult, along *saving) (r Renewal) {
	parts, err := result.ToArray()
	if err != nil {
		return Renewal{Err: err}
	}
	if r.Beat, r.Err = parseBeat(parts); r.Err != nil || r.Status == SessionLost {
		return r
	}
	if len(parts) < beatParts+2 {
		return Renewal{Err: fmt.Errorf("renew: answer of %d parts", len(parts))}
	}
	s.set.Balance.take(p, &parts[beatParts-1])
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
	r.Saved, r.SaveErr = along.parseAlong(parts[beatParts+2:])
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

// Verified is the answer of Verify.
type Verified struct {
	Verdicts string // a Verdict a lease; empty when the session was lost
	Saved    string // as in Renewal
	SaveErr  error
}

// Verify restores leases that Renew found missing while the partition settles, and their checkpoints, which the server may have
// forgotten too: they are stored where a lease is kept and no later owner has left one. saves are checkpoints of some of the
// leases, or none.
func (s *Store) Verify(ctx context.Context, p int, consumer string, leases []*Lease, saves Savings) (answer Verified, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	k := s.layout.Keys(p)
	keys := []string{k.Input, k.Sessions, k.Token}
	args := []string{consumer, s.layout.Group(), s.mode, s.lease, strconv.Itoa(len(leases))}
	for _, l := range leases {
		keys = append(keys, l.key)
		args = append(args, l.tag)
	}
	call := Call{Script: scriptVerify, Keys: keys, Args: args}
	along := call.along(k, consumer, leases, saves)
	parts, err := s.renew.Do(ctx, call).ToArray()
	if err != nil {
		return answer, err
	}
	if len(parts) < 2 {
		return answer, nil // { 'lost' }
	}
	if answer.Verdicts, err = parts[1].ToString(); err != nil {
		return answer, err
	}
	answer.Saved, answer.SaveErr = along.parseAlong(parts[2:])
	return answer, nil
}
