package lease

import (
	"context"
	"time"

	"github.com/streamlease/streamlease/api"
)

// Session is one session of this process in one partition: the consumer name under which it reads and holds, and the deadline
// until which the session is believed alive. Once past, it stays past; a new session has a new name.
type Session struct {
	partition int
	consumer  string
	clock     Clock
	until     deadline
	unsaved   unsaved

	ctx    context.Context
	cancel context.CancelCauseFunc
	values context.Context // has the values of the parent of ctx, and no end: for the contexts of leases
}

// NewSession returns a session that was opened by a call sent at sent and lasts for trust from then on: its TTL less the margin.
// Its context is derived from parent.
func NewSession(parent context.Context, clock Clock, partition int, consumer string, sent int64, trust time.Duration) *Session {
	s := &Session{partition: partition, consumer: consumer, clock: clock, values: context.WithoutCancel(parent)}
	s.ctx, s.cancel = context.WithCancelCause(parent)
	s.until.at.Store(sent + int64(trust))
	return s
}

// Partition is the partition of the session.
func (s *Session) Partition() int { return s.partition }

// Consumer is its name in the group and the session set.
func (s *Session) Consumer() string { return s.consumer }

// Context ends when End is called: reads and acquisitions of the session use it.
func (s *Session) Context() context.Context { return s.ctx }

// Remaining returns how long the session is still believed alive; 0 once it was found past.
func (s *Session) Remaining() time.Duration { return s.until.remaining(s.clock.Now()) }

// Until returns the deadline on the clock, 0 once past.
func (s *Session) Until() int64 { return s.until.load() }

// Extend records that a beat sent at sent succeeded. It reports false if the deadline had passed before the answer came: the
// session is lost then, whatever the server says.
func (s *Session) Extend(sent int64, trust time.Duration) bool {
	return s.until.extend(s.clock.Now(), sent+int64(trust))
}

// End makes the session past and ends its context.
func (s *Session) End() {
	s.until.end()
	s.cancel(api.ErrSessionLost)
}
