package engine

import (
	"context"
	"errors"
	"time"

	"github.com/streamlease/streamlease/lease"
)

// waveState is what the renewer remembers between the waves of a partition. A wave is what one turn of a partition renews: no more
// leases than fit into waveWeight bytes, or fewer where answers are slow, so that renewals do not delay beats for long (see inFlight).
// Times are on the clock's axis.
type waveState struct {
	lastBeat  int64          // when the last beat that had an answer was sent, whatever carried it
	latency   time.Duration  // how long the last wave took
	beaten    time.Duration  // how long the last beat took that went by itself
	fitting   int            // waves in a row since the weight changed that had an answer
	maxWeight int            // of the next wave, in bytes
	failedAt  int64          // when the last wave failed that had no answer
	deferred  []*lease.Lease // a wave that waits for room
}

// lateLocked returns how late the renewals of a partition are: how long ago the first lease was due that has not been renewed yet.
func (r *renewer) lateLocked(n int, now int64) time.Duration {
	if len(r.mu.queues[n]) > 0 && r.mu.queuedSince[n] == 0 {
		r.mu.queuedSince[n] = now
	}
	late := time.Duration(0)
	for _, due := range [...]int64{r.mu.queuedSince[n], r.mu.sentSince[n]} {
		if due > 0 {
			late = max(late, time.Duration(now-due))
		}
	}
	return late
}

// takeQueue empties a partition's queue and returns what was in it.
func (r *renewer) takeQueue(partition int) []*lease.Lease {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := r.mu.queues[partition]
	r.mu.queues[partition], r.mu.queuedSince[partition] = nil, 0
	return due
}

// takeAll is takeQueue with the deferred wave included.
func (r *renewer) takeAll(n int) []*lease.Lease {
	deferred := r.waves[n].deferred
	r.waves[n].deferred = nil
	return append(deferred, r.takeQueue(n)...)
}

// hasDue reports whether a partition's queue has leases in it.
func (r *renewer) hasDue(partition int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.mu.queues[partition]) > 0
}

// putBack puts what is left of a partition's queue, the first of which was due at since, back in front of what has become due
// meanwhile.
func (r *renewer) putBack(partition int, rest []*lease.Lease, since int64) {
	if len(rest) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.queues[partition] = append(rest, r.mu.queues[partition]...)
	r.mu.queuedSince[partition] = since
}

// setSentSince notes when the first lease was due of a wave that is on its way, deferred, or has failed; 0: the wave was renewed.
func (r *renewer) setSentSince(partition int, oldest int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.sentSince[partition] = oldest
}

// batchesPerWave limits what waits for one answer: with the default batch size, to 8,192 leases, some 15 ms of work for the server.
const batchesPerWave = 16

// nextWave returns what to renew next. It has no leases only if there is nothing due that a renewal could still save.
func (r *renewer) nextWave(n int, s *lease.Session) (wave lease.Wave) {
	w := &r.waves[n]
	limit := lease.WaveLimit{Leases: batchesPerWave * r.cfg.pipeline.MaxBatch, Weight: w.maxWeight}
	queue := w.deferred
	w.deferred = nil
	for len(wave.Leases) == 0 {
		if len(queue) == 0 {
			if queue = r.takeQueue(n); len(queue) == 0 {
				break
			}
		}
		wave, queue = r.table.NextWave(queue, s, r.clock.Now(), int64(w.latency), limit)
	}
	r.putBack(n, queue, wave.Next)
	if len(wave.Leases) == 0 && r.clock.Now() > w.failedAt+int64(r.cfg.retry+ticksLate*r.cfg.wheel.Tick) {
		r.setSentSince(n, 0) // what failed last would be due again by now, so it is lost
	}
	return wave
}

// deferWave keeps a wave for later.
func (r *renewer) deferWave(n int, wave lease.Wave) {
	r.waves[n].deferred = wave.Leases
	r.setSentSince(n, wave.Oldest)
}

// send renews a wave, or beats if the wave has no leases. It returns when the last call that succeeded was sent; 0 if there was none,
// since there was no room on the way to the master and the wave was deferred.
//
// A small wave carries the beat. A large one is sent after a separate beat, unless one that was sent within the last half of a
// beat's interval had an answer: what takes long to send must not delay it. If the large wave fails, that says nothing about beats;
// the next one shows.
func (r *renewer) send(ctx context.Context, p *partition, s *lease.Session, wave lease.Wave) (sent int64, err error) {
	n := p.number
	small := wave.Weight <= smallWave
	if small {
		r.flight.leaveQueue(n)
		if len(wave.Leases) > 0 {
			sent, err = r.renewWave(ctx, p, s, wave)
		} else {
			sent, err = r.beat(ctx, p, s)
		}
	} else if r.clock.Now() >= r.waves[n].lastBeat+int64(r.ttls.pace(p)/2) {
		if sent, err = r.beat(ctx, p, s); err != nil {
			r.deferWave(n, wave)
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
	lane := r.flight.reserve(n, r.lane(n), wave.Weight)
	if lane == nil {
		r.deferWave(n, wave)
		return sent, nil
	}
	defer r.flight.release(lane, wave.Weight)
	sent, err = r.renewWave(ctx, p, s, wave)
	if err != nil && ctx.Err() == nil {
		r.waves[n].lastBeat = 0
		r.unanswered(err)
		r.log.Warn("renewal failed", len(wave.Leases), "partition", n, "err", lease.Explain(err))
		r.beatNow(n)
	}
	return sent, err
}

// renewWave renews a wave, and adjusts the weight of the next to how long that took, so that it has its answer within half of the
// timeout, as far as that depends on its weight.
func (r *renewer) renewWave(ctx context.Context, p *partition, s *lease.Session, wave lease.Wave) (sent int64, err error) {
	w := &r.waves[p.number]
	r.setSentSince(p.number, wave.Oldest)
	if sent, err = r.renew(ctx, p, s, wave.Leases, smallWave-wave.Weight); err == nil {
		r.setSentSince(p.number, 0)
	}
	w.latency = time.Duration(r.clock.Now() - sent)
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		w.fit(wave.Weight, err == nil, r.ttls.timeout())
	}
	return sent, err
}

// fits is how many waves in a row have an answer until a greater weight is tried although answers are slow.
const fits = 4

// fit adjusts the weight of the next wave to the last one. A link that is slow takes twice as long for twice the weight; a server, or this
// process, that has no processor takes as long for a beat as for a wave, and smaller waves would but renew fewer leases.
func (w *waveState) fit(weight int, answered bool, timeout time.Duration) {
	own := time.Duration(0) // what the weight may have to do with
	if weight > smallWave {
		own = w.latency - w.beaten
	}
	w.fitting++
	switch {
	case !answered || own > timeout/2:
		w.maxWeight, w.fitting = max(min(w.maxWeight, weight)/2, leastWave), 0
	case weight <= w.maxWeight/2: // it says nothing about larger ones
	case w.latency < timeout/4, own < timeout/4 && w.latency < timeout*3/4 && w.fitting >= fits:
		w.maxWeight, w.fitting = min(2*w.maxWeight, waveWeight), 0
	}
}
