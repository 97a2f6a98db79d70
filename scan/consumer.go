package scan

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// SessionState is what a consumer's session says about it.
type SessionState string

const (
	SessionAlive   SessionState = "alive"   // before its deadline
	SessionDead    SessionState = "dead"    // past its deadline: others recover what it left
	SessionClosed  SessionState = "closed"  // ended on purpose
	SessionUnknown SessionState = "unknown" // there is none: it gets one, and is dead when that is past
)

// Session is that of a consumer in one partition, at one moment.
type Session struct {
	State SessionState
	Until time.Time // its deadline by the server's clock; zero when closed or unknown
}

// Consumer is one run of one process, in one partition.
type Consumer struct {
	Partition int
	Name      string // "<consumer id>.<suffix>"
	Pending   int    // announcements: held, parked or just read
	Session   Session
}

// Consumers lists the consumers of all partitions, by partition and name; those that are dead and not removed yet are
// among them. Errors as with Backlog.
func (i *Inspector) Consumers(ctx context.Context) (all []Consumer, err error) {
	layout, err := i.layout(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	calls := make([]lease.Call, layout.Partitions())
	for p := range calls {
		calls[p] = consumersCall(layout, p)
	}
	var failed failures
	for p, result := range i.run.DoMulti(ctx, calls) {
		some, err := parseConsumers(p, result)
		if err != nil {
			failed.add(explained(fmt.Sprintf("consumers of partition %d", p), err))
		}
		all = append(all, some...)
	}
	return all, failed.err()
}

func parseConsumers(p int, result rueidis.RedisResult) ([]Consumer, error) {
	members, now, err := parseMembers(result)
	some := make([]Consumer, len(members))
	for n, m := range members {
		some[n] = Consumer{Partition: p, Name: m.name, Pending: m.pending, Session: m.session(now)}
	}
	slices.SortFunc(some, func(a, b Consumer) int { return strings.Compare(a.Name, b.Name) })
	return some, err
}

// member is a consumer as scripts tell it.
type member struct {
	name     string
	pending  int
	deadline float64 // of its session
	known    bool    // it has one
	ttl      time.Duration
}

// session is what a member's deadline says at now.
func (m member) session(now int64) Session {
	switch {
	case !m.known:
		return Session{State: SessionUnknown}
	case m.deadline == 0:
		return Session{State: SessionClosed}
	}
	s := Session{State: SessionAlive, Until: time.UnixMilli(int64(math.Floor(m.deadline)))}
	if m.deadline <= float64(now) {
		s.State = SessionDead
	}
	return s
}

func (m member) death(now int64) Death {
	return Death{Deadline: m.deadline, Now: now, TTL: m.ttl}
}

func (s *Store) members(ctx context.Context, p int) ([]member, int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	members, now, err := parseMembers(s.run.Do(ctx, consumersCall(s.layout, p)))
	return members, now, explained(fmt.Sprintf("consumers of partition %d", p), err)
}

func consumersCall(layout *cluster.Layout, p int) lease.Call {
	k := layout.Keys(p)
	return lease.Call{Script: scriptConsumers, Keys: []string{k.Input, k.Sessions}, Args: []string{layout.Group()}}
}

func parseMembers(result rueidis.RedisResult) (members []member, now int64, err error) {
	parts, err := result.ToArray()
	if err != nil {
		return nil, 0, err
	}
	if len(parts) == 0 {
		return nil, 0, errMalformed
	}
	if now, err = parts[0].AsInt64(); err != nil {
		return nil, 0, err
	}
	for _, part := range parts[1:] {
		row, err := part.ToArray()
		if err != nil || len(row) != 4 {
			return nil, 0, orMalformed(err)
		}
		var m member
		if m.name, err = row[0].ToString(); err != nil {
			return nil, 0, err
		}
		pending, err := row[1].AsInt64()
		if err != nil {
			return nil, 0, err
		}
		m.pending = int(pending)
		if deadline, err := row[2].AsFloat64(); err == nil {
			m.deadline, m.known = deadline, true
		}
		ttl, err := row[3].AsInt64()
		if err != nil {
			return nil, 0, err
		}
		m.ttl = time.Duration(ttl) * time.Millisecond
		members = append(members, m)
	}
	return members, now, nil
}
