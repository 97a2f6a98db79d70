package lease

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// LegacyPrefix begins the names of legacy consumers: those of the library that this one succeeds.
const LegacyPrefix = "redis-consumer-"

// legacyLooked is how many entries of a legacy consumer are checked for a lock: locks live for 2 s, and a living consumer has
// one for each of its entries.
const legacyLooked = 32

// legacySeparators may stand between the data stream and the entry ID in the name of a legacy lock. The first one is what that
// library has written since its v0.3.3, in so many letters; ":" is what it wrote before. The others are those of copies of it.
var legacySeparators = []string{"<MUTEX_KEY_SEP>", ":", "-", "_", "/", "|", "#", ".", ""}

var (
	scriptLegacy = embedded("legacy")
	scriptExists = NewScript("exists", "return redis.call('EXISTS', KEYS[1])\n")
)

// Legacy returns the name of a living legacy consumer, empty if there is none. A consumer is alive if it has a pending entry
// whose lock, "<data stream><separator><entry ID>", exists.
func (s *Store) Legacy(ctx context.Context, p int) (alive string, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.rest.Do(ctx, Call{
		Script: scriptLegacy, Keys: []string{s.layout.Keys(p).Input}, Args: append([]string{s.layout.Group(), LegacyPrefix, strconv.Itoa(legacyLooked)}, BodyArgs(NameOnly)...),
	}).ToArray()
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		parts, err := row.ToArray()
		if err != nil || len(parts) < 2 {
			continue
		}
		name, _ := parts[0].ToString()
		held, err := s.legacyLock(ctx, p, parts[1:])
		switch {
		case err != nil:
			return "", err // it is not known
		case held:
			return name, nil
		}
	}
	return "", nil
}

func (s *Store) legacyLock(ctx context.Context, p int, entries []rueidis.RedisMessage) (bool, error) {
	var calls []Call
	for _, entry := range entries {
		parts, err := entry.ToArray()
		if err != nil || len(parts) < 2 {
			continue
		}
		raw := Entry{Partition: p}
		raw.ID, _ = parts[0].ToString()
		if there, err := raw.setBody(parts[1:]); err != nil || !there {
			continue
		}
		parsed, err := Parse(s.layout, &raw)
		if err != nil {
			continue
		}
		for _, separator := range legacySeparators {
			calls = append(calls, Call{Script: scriptExists, Keys: []string{parsed.Stream + separator + raw.ID}})
		}
	}
	if len(calls) == 0 {
		return false, nil
	}
	for _, result := range s.rest.DoMulti(ctx, calls) {
		n, err := result.AsInt64()
		if err != nil {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}
