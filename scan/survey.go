package scan

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// Survey is all that a service has in Redis.
type Survey struct {
	Service string

	// Partitions is the number on record; 0 when nothing is.
	Partitions int

	// State is the operation that was begun and has not ended, empty when there is none; Target is the number of
	// partitions that it makes, 0 for a deletion.
	State  lease.State
	Target int

	// Contents are the partitions that have something, in order. Those from Partitions on are read by nobody.
	Contents []Contents

	// Unknown are some keys that begin as those of the service do, and that this version does not know.
	Unknown []string

	record lease.Agreement
	tokens uint64 // the greatest
}

// Contents is what one partition has.
type Contents struct {
	Partition     int
	Announcements int // in the input stream
	Pending       int // of them: given to consumers and not done
	Later         int
	DeadLetters   int
	Leases        int
	Alive         int      // consumers with a session
	Consumers     []string // the names of some of those
	Keys          []Key    // those that are there, but for leases and marks of recovery
}

// Key is a key and what is in it.
type Key struct {
	Name   string
	Type   string // as the server calls it
	Length int    // entries or members; 1 for a string
}

// Total is the sum of all partitions.
func (s *Survey) Total() (t Contents) {
	t.Partition = api.NoPartition
	for _, c := range s.Contents {
		t.Announcements += c.Announcements
		t.Pending += c.Pending
		t.Later += c.Later
		t.DeadLetters += c.DeadLetters
		t.Leases += c.Leases
		t.Alive += c.Alive
		t.Consumers = append(t.Consumers, c.Consumers...)
		t.Keys = append(t.Keys, c.Keys...)
	}
	return t
}

const (
	// namesTold is how many consumers, and how many unknown keys, are named.
	namesTold = 5
	// surveyed is how many partitions are looked at in one pipeline.
	surveyed = 64
)

// Survey looks at all that a service has in Redis, in every partition that there could be, and changes nothing. It
// looks through the names of all keys on all masters, which takes some seconds for millions, in small steps.
func (i *Inspector) Survey(ctx context.Context) (*Survey, error) {
	s, err := i.census(ctx)
	if err != nil {
		return nil, err
	}
	leases := make(map[int]int)
	err = i.scanKeys(ctx, func(_ context.Context, found []ownKey) error {
		for _, k := range found {
			switch {
			case k.kind == leaseKey:
				leases[k.partition]++
			case k.kind == unknownKey && len(s.Unknown) < namesTold:
				s.Unknown = append(s.Unknown, k.name)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for n := range s.Contents {
		s.Contents[n].Leases = leases[s.Contents[n].Partition]
	}
	return s, nil
}

// census is Survey without leases and unknown keys.
func (i *Inspector) census(ctx context.Context) (*Survey, error) {
	all, err := cluster.NewLayout(i.service, cluster.MaxPartitions)
	if err != nil {
		return nil, err
	}
	s := &Survey{Service: i.service}
	if s.record, _, err = i.agreement(ctx); err != nil {
		return nil, err
	}
	s.Partitions, _ = strconv.Atoi(s.record.Partitions)
	s.Target, _ = strconv.Atoi(s.record.To)
	s.State = s.record.State
	for first := 0; first < all.Partitions(); first += surveyed {
		calls := make([]lease.Call, 0, surveyed)
		for p := first; p < first+surveyed; p++ {
			k := all.Keys(p)
			calls = append(calls, lease.Call{
				Script: scriptCensus,
				Keys:   []string{k.Input, k.Sessions, k.Later, k.DeadLetters, k.Token, k.Scan},
				Args:   []string{all.Group(), strconv.Itoa(namesTold)},
			})
		}
		ctx, cancel := i.bounded(ctx)
		results := i.run.DoMulti(ctx, calls)
		cancel()
		for n, result := range results {
			c, token, err := parseContents(first+n, calls[n].Keys, result)
			if err != nil {
				return nil, explained(fmt.Sprintf("looking at partition %d", first+n), err)
			}
			s.tokens = max(s.tokens, token)
			if len(c.Keys) > 0 {
				s.Contents = append(s.Contents, c)
			}
		}
	}
	return s, nil
}

func parseContents(p int, keys []string, result rueidis.RedisResult) (c Contents, token uint64, err error) {
	parts, err := result.ToArray()
	if err != nil {
		return c, 0, err
	}
	if len(parts) != 4+2*len(keys) {
		return c, 0, errMalformed
	}
	c.Partition = p
	alive, err1 := parts[0].AsInt64()
	names, err2 := parts[1].AsStrSlice()
	pending, err3 := parts[2].AsInt64()
	if err := errors.Join(err1, err2, err3); err != nil {
		return c, 0, err
	}
	c.Alive, c.Consumers, c.Pending = int(alive), names, int(pending)
	if text, err := parts[3].ToString(); err == nil {
		token, _ = strconv.ParseUint(text, 10, 64)
	}
	lengths := make([]int, len(keys))
	for n, key := range keys {
		kind, err1 := parts[4+2*n].ToString()
		length, err2 := parts[5+2*n].AsInt64()
		if err := errors.Join(err1, err2); err != nil {
			return c, 0, err
		}
		if kind == "none" {
			continue
		}
		lengths[n] = int(length)
		c.Keys = append(c.Keys, Key{Name: key, Type: kind, Length: int(length)})
	}
	c.Announcements, c.Later, c.DeadLetters = lengths[0], lengths[2], lengths[3]
	return c, token, nil
}

// end is one more than the last partition that has something.
func (s *Survey) end() int {
	if len(s.Contents) == 0 {
		return 0
	}
	return s.Contents[len(s.Contents)-1].Partition + 1
}

// stocked is one more than the last partition that has an announcement or a dead letter.
func (s *Survey) stocked() (end int) {
	for _, c := range s.Contents {
		if c.Announcements+c.Later+c.DeadLetters > 0 {
			end = c.Partition + 1
		}
	}
	return end
}

// Leftovers are the announcements in input streams beyond the number of partitions of the service, which nobody reads, by
// partition: somebody announced with another number. Repartition brings them home. Errors are those of Partitions.
func (i *Inspector) Leftovers(ctx context.Context) (map[int]int, error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return nil, err
	}
	all, err := cluster.NewLayout(i.service, cluster.MaxPartitions)
	if err != nil {
		return nil, err
	}
	var commands rueidis.Commands
	for p := layout.Partitions(); p < all.Partitions(); p++ {
		commands = append(commands, i.client.B().Xlen().Key(all.Keys(p).Input).Build())
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	left := make(map[int]int)
	for n, result := range i.client.DoMulti(ctx, commands...) {
		length, err := result.AsInt64()
		if code, _ := lease.Refusal(err); err != nil && code != "WRONGTYPE" {
			return left, explained("looking for input streams beyond the number of partitions", err)
		}
		if length > 0 {
			left[layout.Partitions()+n] = int(length)
		}
	}
	return left, nil
}
