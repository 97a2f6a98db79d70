package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/backoff"
	"github.com/streamlease/streamlease/engine/internal/lockfile"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// endStore is what predecessors ask of Redis. scan.Store is the real one.
type endStore interface {
	EndRuns(ctx context.Context, p int, runs []string) (int, error)
}

// predecessors are earlier runs that are proven to have ended, by the lock of a file: see WithLockFile, and package lockfile for the
// proof. The recoverer has their sessions ended in each partition, before it looks for the dead. That is done twice: as soon as
// this process has a session there, and 10 s later. In between, calls that they had sent may still run: a beat makes a
// session again that recovery has removed, and a read that is blocked on the server, which has not heard of the end of its
// connection, is given an entry. By the second look none of that is left.
//
//	this process dies or stands still   the file names them until the second look has succeeded everywhere
//	no answer                           asked again; asking twice ends nothing twice
//	another master takes over           it may have forgotten their end: then they end when they would have, or at the second look
type predecessors struct {
	*env
	store   endStore
	service string
	run     string // the name of this run

	runs []string // names of the predecessors; none: there is nothing to do. Set by take, before the recoverer begins

	mu struct {
		sync.Mutex
		parts    []predecessorsState // by partition
		left     int                 // partitions that are not done
		lock     *lockfile.Lock      // nil without WithLockFile
		released bool                // by release: a lock that take gets later is released at once, and nothing is written any more
	}
}

// predecessorsState is how far a partition has come.
type predecessorsState struct {
	looks int   // successful ones
	next  int64 // when the next one is due
}

const (
	// looksAtPredecessors is how often each partition is looked at.
	looksAtPredecessors = 2

	// lateCalls is how long calls of a process that has ended may go on, at most: a read blocks for half as long.
	lateCalls = 2 * maxBlock
)

func newPredecessors(e *env, store endStore, service, run string, partitions int) *predecessors {
	k := &predecessors{env: e, store: store, service: service, run: run}
	k.mu.parts, k.mu.left = make([]predecessorsState, partitions), partitions
	return k
}

// lockPoll is the time between two attempts to lock a file.
const lockPoll = 50 * time.Millisecond

// take locks the file of WithLockFile, if there is one, and writes into it under which name this run will be known. It waits for
// whoever has the lock as long as an orderly end may take.
func (k *predecessors) take(ctx context.Context) error {
	if k.cfg.lockFile == "" {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, k.cfg.drainTimeout)
	defer cancel()
	for warned := false; ; warned = true {
		lock, err := lockfile.Take(k.cfg.lockFile)
		switch {
		case err == nil:
			if !k.hold(lock) {
				return errStopped
			}
			k.begin(lock)
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, lockfile.ErrHeld):
			return invalid("WithLockFile: %w", err)
		case waiting.Err() != nil:
			return fmt.Errorf("%w: %w; waited for %v: if it hangs, end it; if both are to run, give each a file of its own",
				api.ErrLockHeld, err, k.cfg.drainTimeout)
		case !warned:
			k.log.Warn("starting: another run has the lock file; waiting for its end", 1, "err", err, "for", k.cfg.drainTimeout)
		}
		backoff.Sleep(waiting, lockPoll)
	}
}

// hold keeps a lock until release. It returns false if that was called before: a disk that hangs can hold up take for longer than
// a shutdown lasts.
func (k *predecessors) hold(lock *lockfile.Lock) bool {
	k.mu.Lock()
	released := k.mu.released
	if !released {
		k.mu.lock = lock
	}
	k.mu.Unlock()
	if released {
		_ = lock.Release()
	}
	return !released
}

// begin takes in who had the lock before.
func (k *predecessors) begin(lock *lockfile.Lock) {
	past, why := lock.Past()
	if why != "" {
		k.log.Warn("the lock file proves nothing about the run before; its sessions last until their deadlines", 1,
			"file", k.cfg.lockFile, "why", why)
	}
	for _, r := range past {
		if r.Service == k.service {
			k.runs = append(k.runs, r.Name)
		}
	}
	if n := len(k.runs); n > 0 {
		k.log.Info("earlier runs are proven to have ended", "file", k.cfg.lockFile, "runs", n, "last", k.runs[n-1])
	}
	k.write(append(slices.Clone(k.runs), k.run))
}

// write replaces the names in the file.
func (k *predecessors) write(names []string) {
	runs := make([]lockfile.Run, len(names))
	for i, name := range names {
		runs[i] = lockfile.Run{Service: k.service, Name: name}
	}
	k.mu.Lock()
	lock, released := k.mu.lock, k.mu.released
	k.mu.Unlock()
	if released {
		return // a look that hung: whoever has the lock now writes
	}
	if err := lock.Write(runs...); err != nil {
		k.log.Error("the lock file cannot be written; after a crash, streams wait for the session TTL", "file", k.cfg.lockFile, "err", err)
	}
}

// release releases the lock. No lease of this engine may be believed in any more. A look that hangs may go on; what it writes after
// that does not reach the file.
func (k *predecessors) release() {
	k.mu.Lock()
	lock := k.mu.lock
	k.mu.released = true
	k.mu.Unlock()
	if lock == nil {
		return
	}
	if err := lock.Release(); err != nil {
		k.log.Warn("releasing the lock file fails", 1, "file", k.cfg.lockFile, "err", err)
	}
}

// at returns when a partition is to be looked at, on the clock's axis; 0: never.
func (k *predecessors) at(partition int) int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.atLocked(partition)
}

func (k *predecessors) atLocked(partition int) int64 {
	x := k.mu.parts[partition]
	if len(k.runs) == 0 || x.looks == looksAtPredecessors {
		return 0
	}
	return max(x.next, 1)
}

// due reports whether a partition is to be looked at now. If so, and the look comes to nothing, the next one is due soon.
func (k *predecessors) due(partition int, now int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := k.atLocked(partition)
	if at == 0 || now < at {
		return false
	}
	k.mu.parts[partition].next = now + int64(k.cfg.beat/4)
	return true
}

// end ends the sessions of predecessors in a partition. Only one goroutine at a time calls it for a partition.
func (k *predecessors) end(ctx context.Context, partition int) error {
	ended, err := k.store.EndRuns(ctx, partition, k.runs)
	if err != nil {
		return err
	}
	if ended > 0 {
		k.metrics.Add(metrics.PredecessorsEnded, ended)
		k.event(api.EventPredecessorEnded, partition, nil, fmt.Sprintf("%d sessions ended before their time", ended))
	}
	if k.looked(partition) {
		k.write([]string{k.run})
	}
	return nil
}

// looked notes that a look has succeeded. It reports whether that was the last one of all.
func (k *predecessors) looked(partition int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	x := &k.mu.parts[partition]
	x.looks++
	x.next = k.clock.Now() + int64(lateCalls)
	if x.looks == looksAtPredecessors {
		k.mu.left--
	}
	return k.mu.left == 0
}
