package schedule

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/lease"
)

// Bounds of one call. 256 rows are where a script costs least for each, and take it under 2 ms.
const (
	callItems = 256
	callBytes = 1 << 20
)

// tableStore is the table of a service in Redis. Everything is asked of masters.
type tableStore struct {
	layout *cluster.Layout
	runner *lease.Runner
}

// runnerOf runs scripts of a layer of an engine.
func runnerOf(e *engine.Engine) *lease.Runner {
	return lease.NewRunner(e.Client(), nil).Hooked(e.ScriptHook())
}

func newTableStore(runner *lease.Runner, layout *cluster.Layout) *tableStore {
	return &tableStore{layout, runner}
}

var errAnswer = errors.New("schedule: malformed answer of a script")

// Rows returns the rows of at most 256 schedules of a partition, in their order; "" where there is none.
func (s *tableStore) Rows(ctx context.Context, p int, names []string) (rows []string, err error) {
	rows, _, err = s.fields(ctx, s.layout.Keys(p).Schedules, "", names)
	return rows, err
}

// fields returns fields of a hash, whose names have a prefix, and what time it is on the server, in ms. It calls the script until it has them
// all: long ones come a few at a time.
func (s *tableStore) fields(ctx context.Context, key, prefix string, names []string) (values []string, now int64, err error) {
	values = make([]string, 0, len(names))
	for len(values) < len(names) {
		args := make([]string, 1, 1+len(names)-len(values))
		args[0] = strconv.Itoa(callBytes)
		for _, name := range names[len(values):] {
			args = append(args, prefix+name)
		}
		answer, err := s.runner.Do(ctx, lease.Call{Script: scriptSpecs, Keys: []string{key}, Args: args}).ToArray()
		if err != nil {
			return nil, 0, err
		}
		if len(answer) < 2 || len(answer) > len(args) {
			return nil, 0, errAnswer
		}
		if now, err = answer[0].AsInt64(); err != nil {
			return nil, 0, err
		}
		for _, v := range answer[1:] {
			text, err := stringOrNone(v)
			if err != nil {
				return nil, 0, err
			}
			values = append(values, text)
		}
	}
	return values, now, nil
}

// stringOrNone returns a string, "" for a value that is not there.
func stringOrNone(m rueidis.RedisMessage) (string, error) {
	text, err := m.ToString()
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return text, err
}

// rowPage is a page of the table of a partition.
type rowPage struct {
	all   int64  // schedules in the partition
	live  int64  // processes that are at work there, if that was asked for
	next  string // cursor; "0": that was the last page
	names []string
	rows  []string
}

// page returns about count rows of a partition, from a cursor on ("0": the first ones). While a hash is small, all come at once.
func (s *tableStore) page(ctx context.Context, p int, cursor string, count int) (rowPage, error) {
	return s.pageOf(ctx, []string{s.layout.Keys(p).Schedules}, cursor, count)
}

// auditPage returns, besides, how many processes are at work.
func (s *tableStore) auditPage(ctx context.Context, p int, cursor string) (rowPage, error) {
	k := s.layout.Keys(p)
	return s.pageOf(ctx, []string{k.Schedules, k.Sessions}, cursor, callItems)
}

func (s *tableStore) pageOf(ctx context.Context, keys []string, cursor string, count int) (page rowPage, err error) {
	answer, err := s.runner.Do(ctx, lease.Call{Script: scriptRows, Keys: keys, Args: []string{cursor, strconv.Itoa(count)}}).ToArray()
	if err != nil {
		return page, err
	}
	if len(answer) != 4 {
		return page, errAnswer
	}
	for i, to := range []*int64{&page.all, &page.live} {
		if *to, err = answer[i].AsInt64(); err != nil {
			return page, err
		}
	}
	if page.next, err = answer[2].ToString(); err != nil {
		return page, err
	}
	flat, err := answer[3].AsStrSlice()
	if err != nil || len(flat)%2 != 0 {
		return page, errors.Join(errAnswer, err)
	}
	for i := 0; i < len(flat); i += 2 {
		page.names, page.rows = append(page.names, flat[i]), append(page.rows, flat[i+1])
	}
	return page, nil
}

// owners returns the values of the leases of schedules of a partition, "" where there is none. While a slot migrates, it asks for one
// lease at a time: a script with several keys is refused then.
func (s *tableStore) owners(ctx context.Context, p int, names []string) (values []string, err error) {
	for from := 0; from < len(names); from += callItems {
		some := names[from:min(from+callItems, len(names))]
		keys := make([]string, len(some))
		for i, name := range some {
			keys[i] = s.layout.Keys(p).Lease(name)
		}
		got, err := parseOwners(s.runner.Do(ctx, lease.Call{Script: scriptOwners, Keys: keys}), len(keys))
		if code, _ := lease.Refusal(err); code == "TRYAGAIN" {
			got, err = s.ownersApart(ctx, keys)
		}
		if err != nil {
			return nil, err
		}
		values = append(values, got...)
	}
	return values, nil
}

func (s *tableStore) ownersApart(ctx context.Context, keys []string) (values []string, err error) {
	calls := make([]lease.Call, len(keys))
	for i, key := range keys {
		calls[i] = lease.Call{Script: scriptOwners, Keys: []string{key}}
	}
	for _, answer := range s.runner.DoMulti(ctx, calls) {
		one, err := parseOwners(answer, 1)
		if err != nil {
			return nil, err
		}
		values = append(values, one[0])
	}
	return values, nil
}

func parseOwners(answer rueidis.RedisResult, n int) (values []string, err error) {
	all, err := answer.ToArray()
	if err != nil {
		return nil, err
	}
	if len(all) != n {
		return nil, errAnswer
	}
	values = make([]string, n)
	for i := range all {
		if values[i], err = stringOrNone(all[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// explained adds to an error of a call what was being done, and what to do.
func explained(doing string, err error) error {
	if _, refused := lease.Refusal(err); refused {
		return fmt.Errorf("schedule: %s: %w", doing, lease.Explain(err))
	}
	return fmt.Errorf("schedule: %s: no answer, it may have been done all the same: %w", doing, err)
}

// mark notes of schedules of a partition whether their announcements are dead letters. Those of another birth stay as they are.
func (s *tableStore) mark(ctx context.Context, p int, dead bool, names []string, born []int64) error {
	args := make([]string, 1, 1+2*len(names))
	args[0] = "0"
	if dead {
		args[0] = "1"
	}
	for i, name := range names {
		args = append(args, name, strconv.FormatInt(born[i], 10))
	}
	return s.runner.Do(ctx, lease.Call{Script: scriptMark, Keys: []string{s.layout.Keys(p).Schedules}, Args: args}).Error()
}

// revived is what became of a schedule that has no announcement.
type revived string

const (
	revivedAnnounced revived = "a" // it was announced again
	revivedGone      revived = "g" // it is deleted, or another incarnation
	revivedOwned     revived = "o"
	revivedWaits     revived = "w" // there are announcements that nobody has read yet, and its own may be among them
)

// revive announces a schedule again, if it is the one of that birth, nobody owns it, and the group has read all announcements.
func (s *tableStore) revive(ctx context.Context, p int, name string, born int64) (revived, error) {
	k := s.layout.Keys(p)
	text, err := lease.EncodeAnnouncement(name, nil)
	if err != nil {
		return "", err
	}
	verdict, err := s.runner.Do(ctx, lease.Call{Script: scriptRevive, Keys: []string{k.Input, k.Schedules, k.Lease(name)},
		Args: []string{s.layout.Group(), name, strconv.FormatInt(born, 10), text}}).ToString()
	return revived(verdict), err
}
