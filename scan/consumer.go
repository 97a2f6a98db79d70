package scan

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// SessionState tells whether a consumer is alive, by its session.
type SessionState string

const (
	SessionAlive   SessionState = "alive"   // before its deadline
	SessionDead    SessionState = "dead"    // past its deadline: others recover what it left
	SessionClosed  SessionState = "closed"  // ended on purpose
	SessionUnknown SessionState = "unknown" // there is none: the consumer is given one, and is dead when that ends
)

// Session is the session of a consumer in one partition, at one moment.
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

// Consumers lists the consumers of all partitions, by partition and name, including dead ones that were not removed yet.
// Errors are as with Backlog.
func (i *Inspector) Consumers(ctx context.Context) ([]Consumer, error) {
	return eachPartition(ctx, i, "consumers", consumersCall, parseConsumers)
}

func parseConsumers(p int, result rueidis.RedisResult) ([]Consumer, error) {
	infos, now, err := parseConsumerInfo(result)
	some := make([]Consumer, len(infos))
	for n, c := range infos {
		some[n] = Consumer{Partition: p, Name: c.name, Pending: c.pending, Session: c.session(now)}
	}
	slices.SortFunc(some, func(a, b Consumer) int { return strings.Compare(a.Name, b.Name) })
	return some, err
}

// consumerInfo is a consumer as scripts describe it.
type consumerInfo struct {
	name     string
	pending  int
	deadline float64       // of its session
	known    bool          // it has a session
	ttl      time.Duration // of its sessions
}

// setDeadline takes the deadline from a script's answer, which has none for a consumer without a session.
func (c *consumerInfo) setDeadline(part *rueidis.RedisMessage) {
	if deadline, err := part.AsFloat64(); err == nil {
		c.deadline, c.known = deadline, true
	}
}

// session is the state of the consumer's session at now.
func (c *consumerInfo) session(now int64) Session {
	switch {
	case !c.known:
		return Session{State: SessionUnknown}
	case c.deadline == 0:
		return Session{State: SessionClosed}
	}
	s := Session{State: SessionAlive, Until: time.UnixMilli(int64(math.Floor(c.deadline)))}
	if c.deadline <= float64(now) {
		s.State = SessionDead
	}
	return s
}

func (c *consumerInfo) end(now int64) sessionEnd {
	return sessionEnd{deadline: c.deadline, now: now, ttl: c.ttl}
}

func (s *Store) consumers(ctx context.Context, p int) ([]consumerInfo, int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	infos, now, err := parseConsumerInfo(s.run.Do(ctx, consumersCall(s.layout, p)))
	return infos, now, explained(fmt.Sprintf("consumers of partition %d", p), err)
}

func consumersCall(layout *cluster.Layout, p int) lease.Call {
	k := layout.Keys(p)
	return lease.Call{Script: scriptConsumers, Keys: []string{k.Input, k.Sessions}, Args: []string{layout.Group()}}
}

func parseConsumerInfo(result rueidis.RedisResult) (infos []consumerInfo, now int64, err error) {
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
		var c consumerInfo
		if c.name, err = row[0].ToString(); err != nil {
			return nil, 0, err
		}
		pending, err1 := row[1].AsInt64()
		ttl, err2 := row[3].AsInt64()
		if err := errors.Join(err1, err2); err != nil {
			return nil, 0, err
		}
		c.pending, c.ttl = int(pending), time.Duration(ttl)*time.Millisecond
		c.setDeadline(&row[2])
		infos = append(infos, c)
	}
	return infos, now, nil
}
