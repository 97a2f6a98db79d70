// Package engine owns data streams for one process. It puts the other packages together: it reads announcements, takes
// leases, keeps them alive in batches, tells the user through a bounded pool of workers, and lets go of them properly.
//
// # What an entry goes through
//
//	read ──▶ acquiring ──▶ held ──▶ ending ──▶ gone
//	            │  ▲         │
//	            ▼  │         ▼
//	          parked       lost (Disowned, re-queued)
//
// Parked is an announcement of a stream that somebody owns: another process, or this one. What finds no room there, and
// what must not be handed out yet, waits in Redis.
//
// # Who does what
//
// Goroutines do not grow with the number of streams, RunEach aside:
//
//   - a reader for each partition (reader.go) reads and acquires;
//   - one loop (renewer.go) watches every deadline and does no I/O; its work queue sends what is due;
//   - the completer's work queue completes what users and the engine end;
//   - the waitlist's work queue asks for parked entries;
//   - the promoter's work queue brings back what is due;
//   - the dispatcher's workers call the handler.
//
// A work queue works for every partition with a bounded number of goroutines, and never twice at once for one partition. All
// of them are started in assemble and run, and stopped in dismantle, in the order that drain describes.
package engine
