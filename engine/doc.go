// Package engine owns data streams for one process. It puts the other packages together: it reads announcements, takes
// leases, keeps them alive in batches, notifies the user through a bounded pool of workers, and hands streams back.
//
// # What an entry goes through
//
//	read ──▶ acquiring ──▶ held ──▶ ending ──▶ gone
//	            │  ▲         │
//	            ▼  │         ▼
//	          parked       lost (Disowned, requeued)
//
// Parked is an announcement of a stream that somebody owns: another process, or this one. Announcements for which there is
// no room here, and those that must not be handed out yet, wait in Redis.
//
// # Who does what
//
// Goroutines do not grow with the number of streams, RunEach aside:
//
//   - a reader for each partition (reader.go) reads and acquires;
//   - one loop (renewer.go) watches every deadline and does no I/O; its work queue opens sessions, beats and renews;
//   - the completer's work queue completes what users and the engine end;
//   - the waitlist's work queue acquires parked entries;
//   - the promoter's work queue moves what is due in later back to the input stream;
//   - the recoverer's work queue recovers what dead consumers left;
//   - the dispatcher's workers call the handler.
//
// A work queue works for every partition with a bounded number of goroutines, and never twice at once for one partition. run
// (lifecycle.go) has the order of a start, drain (drain.go) that of a shutdown.
//
// # How it is built
//
// A part is a struct that holds env, and exactly what else it needs: other parts, or interfaces of a few methods that the
// file of the part declares. Only the files that make, start and stop the parts know Engine, and those of its public methods.
// What several packages can hold by themselves is below internal.
//
// docs/architecture.md follows one announcement through all of it, function by function, and has the file map, the order of
// locks, and a list of what is not obvious.
package engine
