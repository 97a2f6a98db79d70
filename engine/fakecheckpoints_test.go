package engine

import (
	"context"
	"strconv"

	"github.com/streamlease/streamlease/lease"
)

// fakeCheckpoint is one field of the checkpoints of a partition.
type fakeCheckpoint struct {
	token      uint64
	tag, value string
}

// fakeCheckpoints is the hash of a partition, by the key of the lease. They outlive a restart without loss.
type fakeCheckpoints struct {
	fields  map[string]fakeCheckpoint
	numbers map[string]uint64
	refuse  error // why Redis refuses all that concerns them; nil: it does not
	moving  bool  // the slot migrates: scripts with several keys are refused that have the hash among them
	sets    int   // checkpoints that were stored
	alone   int   // of them, by a script with one key
	rides   int   // of them, with renewals
}

// checkpointOf is what is stored for a stream, "" for nothing.
func (s *fakeServer) checkpointOf(stream string) (value string) {
	n := s.layout.Of(stream)
	s.with(n, func(p *fakePartition) { value = p.checkpoints.fields[p.keys.Lease(stream)].value })
	return value
}

// putCheckpoint stores one as an earlier owner.
func (s *fakeServer) putCheckpoint(stream string, x fakeCheckpoint) {
	s.with(s.layout.Of(stream), func(p *fakePartition) { p.checkpoints.put(p.keys.Lease(stream), x) })
}

// refuseCheckpoints makes the server refuse all that concerns checkpoints; nil: it does not.
func (s *fakeServer) refuseCheckpoints(err error) {
	for n := range s.parts {
		s.with(n, func(p *fakePartition) { p.checkpoints.refuse = err })
	}
}

func (c *fakeCheckpoints) put(key string, x fakeCheckpoint) {
	if c.fields == nil {
		c.fields = make(map[string]fakeCheckpoint)
	}
	c.fields[key] = x
}

// passes notes the number of a call, and reports whether it may store anything.
func (c *fakeCheckpoints) passes(consumer string, number uint64) bool {
	if c.numbers == nil {
		c.numbers = make(map[string]uint64)
	}
	if number < c.numbers[consumer] {
		return false
	}
	c.numbers[consumer] = number
	return true
}

// save is save.lua.
func (s *fakeServer) save(p *fakePartition, me string, x lease.Savings) string {
	verdicts := make([]byte, 0, len(x.Items))
	passes := p.checkpoints.passes(me, x.Number)
	for _, item := range x.Items {
		l := item.Lease
		held, v := p.lease(l.Key()), lease.Saved
		switch {
		case !passes:
			v = lease.Stale
		case held == nil:
			v = lease.Missing
		case held.consumer != me || held.token != uint64(l.Token()) || held.entry != l.Entry():
			v = lease.Lost
		default:
			p.checkpoints.sets++
			p.checkpoints.put(l.Key(), fakeCheckpoint{uint64(l.Token()), "v", item.Value})
		}
		verdicts = append(verdicts, byte(v))
	}
	return string(verdicts)
}

func (s *fakeStore) SaveCheckpoints(ctx context.Context, n int, consumer string, number uint64, items []lease.Saving) (verdicts string, err error) {
	err = s.on(ctx, "save", n, consumer, len(items), func(p *fakePartition) error {
		if p.checkpoints.moving {
			return errTryAgain
		}
		if p.checkpoints.refuse == nil {
			verdicts = s.server.save(p, consumer, lease.Savings{Number: number, Items: items})
		}
		return p.checkpoints.refuse
	})
	if err != nil {
		return "", err
	}
	return verdicts, nil
}

func (s *fakeStore) SaveCheckpointsAlone(ctx context.Context, n int, consumer string, number uint64, items []lease.Saving) []lease.Verdict {
	verdicts := make([]lease.Verdict, len(items))
	err := s.on(ctx, "save alone", n, consumer, len(items), func(p *fakePartition) error {
		passes := p.checkpoints.passes(consumer, number)
		for i, item := range items {
			x, there := p.checkpoints.fields[item.Lease.Key()]
			switch mine := uint64(item.Lease.Token()); {
			case !passes:
				verdicts[i] = lease.Stale
			case !there || x.token < mine:
				verdicts[i] = lease.SavedLater
			case x.token > mine || x.tag != "v":
				verdicts[i] = lease.Lost
			default:
				verdicts[i] = lease.Saved
				p.checkpoints.sets++
				p.checkpoints.alone++
				p.checkpoints.put(item.Lease.Key(), fakeCheckpoint{mine, "v", item.Value})
			}
		}
		return nil
	})
	if err != nil {
		clear(verdicts)
	}
	return verdicts
}

func (s *fakeStore) CheckpointsAllowed(ctx context.Context, n int) error {
	return s.on(ctx, "checkpoints allowed", n, "", 0, func(p *fakePartition) error { return p.checkpoints.refuse })
}

// handOver is handover.lua, for one entry.
func (c *fakeCheckpoints) handOver(key string, take *lease.Take) {
	x, there := c.fields[key]
	switch {
	case c.refuse != nil:
		take.CheckpointErr = c.refuse
	case there && x.tag == "?":
		take.CheckpointErr = errBadCheckpoint
	case there && x.value == "":
		delete(c.fields, key)
	case there:
		take.Checkpoint = x.value
		c.put(key, fakeCheckpoint{uint64(take.Token), "v", x.value})
	}
}

// holds reports whether consumer holds the lease of an item under its token.
func (p *fakePartition) holds(consumer string, r *lease.Disposition) bool {
	l := p.lease(r.Key)
	return l != nil && l.consumer == consumer && l.entry == r.Entry && strconv.FormatUint(l.token, 10) == r.Token
}

// leave is leaving.lua, for one item that was ended. mine: the lease was its own.
func (c *fakeCheckpoints) leave(r *lease.Disposition, o *lease.Outcome, mine bool) {
	token, err := strconv.ParseUint(r.Token, 10, 64)
	if err != nil || r.Checkpoint == nil && !r.DropCheckpoint && !r.Checkpointed {
		return
	}
	x, there := c.fields[r.Key]
	switch {
	case c.refuse != nil:
		o.Checkpoint, o.CheckpointErr = lease.Refused, c.refuse
	case x.token > token:
		o.Checkpoint = lease.Lost
	case r.DropCheckpoint || r.Checkpoint != nil && *r.Checkpoint == "":
		o.Checkpoint = lease.Saved
		delete(c.fields, r.Key)
	case r.Checkpoint != nil && !there && !mine:
		o.Checkpoint = lease.Lost
	case r.Checkpoint != nil:
		o.Checkpoint = lease.Saved
		c.sets++
		c.put(r.Key, fakeCheckpoint{token, "r", *r.Checkpoint})
	default:
		o.Checkpoint = lease.Saved
	}
}

var (
	errTryAgain      = errorReply("TRYAGAIN Multiple keys request during rehashing of slot")
	errWrongType     = errorReply("WRONGTYPE Operation against a key holding the wrong kind of value")
	errBadCheckpoint = errorReply("BADCHECKPOINT {svc-input}:checkpoints has a value of an unknown kind: 17 z")
)
