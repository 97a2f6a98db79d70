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

// Survey is everything that a service has in Redis.
type Survey struct {
	// Service is its name.
	Service string

	// Partitions is the number of partitions on record; 0 when there is none.
	Partitions int

	// State is the operation that was begun and has not ended, empty when there is none. Target is the number of partitions that
	// it makes, 0 for a deletion.
	State  lease.State
	Target int

	// Contents are the partitions that are not empty, in order. No consumer reads those from Partitions on.
	Contents []Contents

	// Unknown are some of the keys that begin like those of the service and that this version does not know.
	Unknown []string

	record lease.Agreement
	tokens uint64 // the greatest that was minted
}

// Contents is what one partition contains.
type Contents struct {
	Partition     int
	Announcements int // in the input stream
	Pending       int // of those, delivered to consumers and not done
	Later         int // delayed announcements
	DeadLetters   int
	Schedules     int
	Leases        int
	Alive         int      // consumers with a live session
	Consumers     []string // the names of some of those
	Keys          []Key    // those that exist, except for leases and marks
}

// Key is a key and its contents.
type Key struct {
	Name   string
	Type   string // as the server calls it
	Length int    // entries, members or fields; 1 for a string
}

// Total returns the sum over all partitions.
func (s *Survey) Total() (t Contents) {
	t.Partition = api.NoPartition
	for _, c := range s.Contents {
		t.Announcements += c.Announcements
		t.Pending += c.Pending
		t.Later += c.Later
		t.DeadLetters += c.DeadLetters
		t.Schedules += c.Schedules
		t.Leases += c.Leases
		t.Alive += c.Alive
		t.Consumers = append(t.Consumers, c.Consumers...)
		t.Keys = append(t.Keys, c.Keys...)
	}
	return t
}

const (
	// maxNames is how many consumers, and how many unknown keys, are listed.
	maxNames = 5
	// pipelineSize is how many partitions one pipeline covers.
	pipelineSize = 64
)

// Survey returns everything that a service has in Redis, in every partition that there could be, and changes nothing. It goes
// through the names of all keys on all masters, in small steps, which takes some seconds for millions of keys.
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
			case k.kind == unknownKey && len(s.Unknown) < maxNames:
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
	for first := 0; first < all.Partitions(); first += pipelineSize {
		calls := make([]lease.Call, 0, pipelineSize)
		for p := first; p < first+pipelineSize; p++ {
			calls = append(calls, lease.Call{
				Script: scriptCensus,
				Keys:   censusKeys(all, p),
				Args:   []string{all.Group(), strconv.Itoa(maxNames)},
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

// censusKeys returns the keys that a partition has, in the order of the script, and with partition 0 those of the whole service but the
// record.
func censusKeys(all *cluster.Layout, p int) []string {
	k := all.Keys(p)
	keys := append([]string{k.Input, k.Sessions, k.Later, k.DeadLetters, k.Token, k.Scan, k.Signals, k.Checkpoints, k.Schedules}, balanceKeys(k)...)
	if p == 0 {
		keys = append(keys, all.Wishes())
	}
	return keys
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
	c.Announcements, c.Later, c.DeadLetters, c.Schedules = lengths[0], lengths[2], lengths[3], lengths[8]
	return c, token, nil
}

// end is one more than the last partition that is not empty.
func (s *Survey) end() int {
	if len(s.Contents) == 0 {
		return 0
	}
	return s.Contents[len(s.Contents)-1].Partition + 1
}

// dataEnd is one more than the last partition that has an announcement, a dead letter, or a schedule.
func (s *Survey) dataEnd() (end int) {
	for _, c := range s.Contents {
		if c.Announcements+c.Later+c.DeadLetters+c.Schedules > 0 {
			end = c.Partition + 1
		}
	}
	return end
}

// Leftovers returns the number of announcements and schedules, by partition, beyond the number of partitions of the service,
// which no consumer reads: a producer used another number. Repartition moves them to their partitions. Errors are
// those of Partitions.
func (i *Inspector) Leftovers(ctx context.Context) (map[int]int, error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return nil, err
	}
	all, err := cluster.NewLayout(i.service, cluster.MaxPartitions)
	if err != nil {
		return nil, err
	}
	left := make(map[int]int)
	// Schedules come second: a user who may not see the keys of other partitions is refused once for each, and no more.
	for _, length := range []func(k *cluster.Keys) rueidis.Completed{
		func(k *cluster.Keys) rueidis.Completed { return i.client.B().Xlen().Key(k.Input).Build() },
		func(k *cluster.Keys) rueidis.Completed { return i.client.B().Hlen().Key(k.Schedules).Build() },
	} {
		if err := i.addLengths(ctx, left, layout.Partitions(), all, length); err != nil {
			return left, explained("looking for announcements and schedules beyond the number of partitions", err)
		}
	}
	return left, nil
}

// addLengths adds up, by partition from first on, the lengths that a command returns. Keys of another type are none of ours.
func (i *Inspector) addLengths(ctx context.Context, sums map[int]int, first int, all *cluster.Layout, length func(k *cluster.Keys) rueidis.Completed) error {
	var commands rueidis.Commands
	for p := first; p < all.Partitions(); p++ {
		commands = append(commands, length(all.Keys(p)))
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	for n, result := range i.client.DoMulti(ctx, commands...) {
		length, err := result.AsInt64()
		if code, _ := lease.Refusal(err); err != nil && code != "WRONGTYPE" {
			return err
		}
		if length > 0 {
			sums[first+n] += int(length)
		}
	}
	return nil
}
