package engine

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// pace is how the renewals of a partition go.
type pace struct {
	beaten int64          // when the last beat that was answered was sent, whatever carried it
	answer time.Duration  // how long the last wave took
	most   int            // bytes of a wave
	failed int64          // when a wave had no answer last
	held   []*lease.Lease // a wave for which there was no room
}

// lateLocked is how late the renewals of a partition are: since when the first was due that has not been renewed.
func (r *renewer) lateLocked(n int, now int64) time.Duration {
	if len(r.mu.queues[n]) > 0 && r.mu.since[n] == 0 {
		r.mu.since[n] = now
	}
	late := time.Duration(0)
	for _, due := range [...]int64{r.mu.since[n], r.mu.sent[n]} {
		if due > 0 {
			late = max(late, time.Duration(now-due))
		}
	}
	return late
}

// take empties a partition's queue.
func (r *renewer) take(partition int) []*lease.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := r.mu.queues[partition]
	r.mu.queues[partition], r.mu.since[partition] = nil, 0
	return due
}

// takeAll is take, and the wave that is held.
func (r *renewer) takeAll(n int) []*lease.Lease {
	held := r.paces[n].held
	r.paces[n].held = nil
	return append(held, r.take(n)...)
}

// waiting reports whether more is due for a partition.
func (r *renewer) waiting(partition int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.queues[partition]) > 0
}

// putBack puts what is left of a partition's queue, the first of which was due at since, before what has become due
// meanwhile.
func (r *renewer) putBack(partition int, rest []*lease.Lease, since int64) {
	if len(rest) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.queues[partition] = append(rest, r.mu.queues[partition]...)
	r.mu.since[partition] = since
}

// away notes when the first was due of a wave that is on its way, or has failed; 0: its leases were renewed.
func (r *renewer) away(partition int, oldest int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.sent[partition] = oldest
}

// batchesPerWave bounds what waits for one answer: with the default batch, 8,192 leases, some 15 ms of the server.
const batchesPerWave = 16

// nextWave is what is to be renewed next: without a lease only where nothing is due that a renewal is of use to.
func (r *renewer) nextWave(n int, s *lease.Session) (wave lease.Wave) {
	pace := &r.paces[n]
	limit := lease.WaveLimit{Leases: batchesPerWave * r.cfg.pipeline.MaxBatch, Weight: pace.most}
	queue := pace.held
	pace.held = nil
	for len(wave.Leases) == 0 {
		if len(queue) == 0 {
			if queue = r.take(n); len(queue) == 0 {
				break
			}
		}
		wave, queue = r.table.NextWave(queue, s, r.clock.Now(), int64(pace.answer), limit)
	}
	r.putBack(n, queue, wave.Next)
	if len(wave.Leases) == 0 && r.clock.Now() > pace.failed+int64(r.cfg.retry+ticksLate*r.cfg.wheel.Tick) {
		r.away(n, 0) // what failed last would be due again by now: it is lost
	}
	return wave
}

// hold keeps a wave for later, for which there is no room now.
func (r *renewer) hold(n int, wave lease.Wave) {
	r.paces[n].held = wave.Leases
	r.away(n, wave.Oldest)
}

// send renews a wave, or beats where there is none. It returns when the last call that succeeded was sent; 0 if there was no
// room on the way to the master, and the wave is held.
//
// A small wave carries the beat. A large one comes after a beat by itself, if none has been answered for half of the time
// between two: what takes long to send must not delay it. If the wave fails, that says nothing of beats; the next one tells.
func (r *renewer) send(ctx context.Context, p *partition, s *lease.Session, wave lease.Wave) (sent int64, err error) {
	n := p.number
	small := wave.Weight <= smallWave
	if small {
		r.flight.giveUp(n)
		if len(wave.Leases) > 0 {
			sent, err = r.renewWave(ctx, p, s, wave)
		} else {
			sent, err = r.beat(ctx, p, s)
		}
	} else if r.clock.Now() >= r.paces[n].beaten+int64(r.ttls.pace(p)/2) {
		if sent, err = r.beat(ctx, p, s); err != nil {
			r.hold(n, wave)
		}
	}
	if err != nil {
		if ctx.Err() == nil {
			r.beatAfter(n, r.clock.Now()+int64(r.sessions.noteFailure(p, err)))
		}
		return 0, err
	}
	if small || s.Remaining() == 0 {
		return sent, nil
	}
	lane := r.flight.enter(n, r.lane(n), wave.Weight)
	if lane == nil {
		r.hold(n, wave)
		return sent, nil
	}
	defer r.flight.leave(lane, wave.Weight)
	sent, err = r.renewWave(ctx, p, s, wave)
	if err != nil && ctx.Err() == nil {
		r.paces[n].beaten = 0
		r.unanswered(err)
		r.log.Warn("renewing fails", len(wave.Leases), "partition", n, "err", lease.Explain(err))
		r.beatNow(n)
	}
	return sent, err
}

// renewWave renews a wave, and learns from how long that takes how large the next may be: it is to have its answer within
// half of the time that there is for one.
func (r *renewer) renewWave(ctx context.Context, p *partition, s *lease.Session, wave lease.Wave) (sent int64, err error) {
	pace := &r.paces[p.number]
	r.away(p.number, wave.Oldest)
	if sent, err = r.renew(ctx, p, s, wave.Leases); err == nil {
		r.away(p.number, 0)
	}
	pace.answer = time.Duration(r.clock.Now() - sent)
	switch limit := r.ttls.timeout(); {
	case err == nil && pace.answer < limit/4 && wave.Weight > pace.most/2:
		pace.most = min(2*pace.most, waveWeight)
	case err == nil && pace.answer > limit/2, errors.Is(err, context.DeadlineExceeded):
		pace.most = max(min(pace.most, wave.Weight)/2, leastWave)
	}
	return sent, err
}
