package lease

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// rememberCopies is how long a partition remembers what was copied to it: longer than anybody retries.
const rememberCopies = 10 * time.Minute

// forwards numbers this process's calls of Forward. Each consumer belongs to one process.
var forwards atomic.Uint64

// Forward adds entries that were read from another partition, unchanged, to the partition that their streams belong to, which
// must be the same for all of them. The originals are ended with Done afterwards. A call whose outcome is unknown is repeated,
// with again set, for the same entries or some of them: nothing is added twice. Calls for one consumer and one home must not
// overlap.
func (s *Store) Forward(ctx context.Context, consumer string, entries []*Entry, again bool) ([]Outcome, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	first := "1"
	if again {
		first = "0"
	}
	home := s.layout.Keys(entries[0].Home)
	args := []string{strconv.FormatUint(forwards.Add(1), 10), first, ms(rememberCopies)}
	for _, e := range entries {
		args = append(args, e.ID, strconv.Itoa(2*len(e.Body)))
		for _, f := range e.Body {
			args = append(args, f.Field, f.Value)
		}
	}
	result := s.rest.Do(ctx, Call{
		Script: scriptCopy, Keys: []string{home.Input, home.Copied(entries[0].Partition, consumer)}, Args: args,
	})
	if parts, err := result.ToArray(); err == nil && len(parts) == 1 {
		return nil, fmt.Errorf("copy: a later call has run")
	}
	return ParseOutcomes(result, len(entries))
}

// Whole reads all fields of an entry that was cut; ok is false if its body is gone.
func (s *Store) Whole(ctx context.Context, e *Entry) (whole Entry, ok bool, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	message, err := s.rest.Do(ctx, Call{
		Script: scriptWhole, Keys: []string{s.layout.Keys(e.Partition).Input}, Args: []string{s.layout.Group(), e.ID},
	}).ToMessage()
	if message.IsNil() {
		return *e, false, nil
	}
	if err != nil {
		return *e, false, err
	}
	whole = *e
	whole.Fields, whole.TextSize = 0, 0
	fields, err := message.AsStrSlice()
	if err != nil {
		return *e, false, err
	}
	whole.Body = pairs(fields)
	whole.Fields = len(whole.Body)
	return whole, true, nil
}
