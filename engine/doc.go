// Package engine owns data streams for one process, so that a fleet of processes shares all of them: each announced stream has one
// owner at a time, and another one when that dies.
//
// It hands out streams, and what is done with them is up to the program. To read their messages use package engine/feed, and to do
// something at intervals engine/schedule: both run on an engine. What handlers see, and all errors, are in package api; dead
// letters, backlogs and owners are shown by scan.Inspector ([Engine.Inspector]), and to operators by scan/console. [docs/README.md]
// lists pages by task, [docs/first-program.md] goes from an empty folder to a fleet.
//
// # What comes first
//
// A producer announces streams with a [Publisher]; any client that can XADD may do without ([docs/producing.md]). A consumer makes
// an [Engine], by [Open] with clients of its own or by [New] with the program's, and runs it once:
//
//   - [Engine.Run] calls an [api.Handler]; work goes on after the handler has returned, until the lease ends.
//   - [Engine.RunEach] calls a function in a goroutine of its own for each stream: nil means done, an error that it is tried again.
//   - [Engine.Start] delivers on a channel.
//   - [Engine.RunLayer] is for packages such as feed.
//
// This owns streams until SIGTERM, and then hands them back:
//
//	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "chat")
//	if err != nil {
//		return err
//	}
//	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
//	defer stop()
//	return e.RunEach(ctx, func(ctx context.Context, l api.Lease) error {
//		return serve(ctx, l.Stream()) // until it is finished, or ctx ends
//	})
//
// Each [Option] has a default that suits most programs; [docs/options.md] lists them with their metrics. While an engine runs,
// [Engine.Ready] is its readiness probe, [Engine.Stats] shows what it holds, and [Engine.Pause], [Engine.Evacuate],
// [Engine.SetWeight] and [Engine.SetMaxStreams] change how much that is. [Preflight] checks servers and access rights before a
// deployment.
//
// # What holds
//
// A stream has one owner at a time, through failovers of Redis, and is handed out again until an owner has ended it with Done. So
// work is done at least once, and a process that was paused may still be at it when the next owner begins: ask Remaining before an
// effect, or send the token along ([docs/fencing.md]). [docs/guarantees.md] has the exact words, and the limits.
//
// # Errors
//
// Those of [New], [Open] and [NewPublisher] match [api.ErrInvalidConfig] and name the option and the fix. [Engine.Run] returns nil
// after a clean drain. After [api.ErrDrainTimeout] other processes recover what is left; [api.ErrNotHandedBack] means that somebody
// moved or deleted announcements by hand: look at the backlog. Errors of a service that cannot be used as configured, such as
// [api.ErrPartitionMismatch] and [api.ErrMissingRights], need a person ([docs/operations.md]). While Redis is away, Run returns nothing and tries again. [Publisher.Publish] retries nothing: after an
// error of the connection, announce again. Package api has a list of all errors, and what each asks for; [docs/troubleshooting.md]
// begins with what one sees.
//
// # Concurrency and costs
//
// All methods may be called at any time from any goroutine. Goroutines and connections do not grow with the number of streams,
// RunEach aside: 10,000 streams cost about 1,000 lease extensions a second, in about ten scripts
// ([docs/costs.md], [docs/sizing.md]). Handlers run on [WithWorkers] goroutines, and one that blocks holds up no renewal.
//
// # How it is built
//
//	read ──▶ acquiring ──▶ held ──▶ ending ──▶ gone
//	            │  ▲         │
//	            ▼  │         ▼
//	          parked       lost (Disowned, requeued)
//
// Parked is an announcement of a stream that somebody owns: another process, or this one. Announcements for which there is no room
// here, and those that must not be handed out yet, wait in Redis.
//
// A part is a struct that holds env, and exactly what else it needs: other parts, or interfaces of a few methods that the file of
// the part declares. Only the files that make, start and stop the parts know Engine, and those of its public methods.
// [docs/architecture.md] follows one announcement through all of it, and has the goroutines, the file map, the order of locks, and a
// list of what is not obvious.
//
// [docs/README.md]: https://github.com/streamlease/streamlease/blob/main/docs/README.md
// [docs/first-program.md]: https://github.com/streamlease/streamlease/blob/main/docs/first-program.md
// [docs/producing.md]: https://github.com/streamlease/streamlease/blob/main/docs/producing.md
// [docs/options.md]: https://github.com/streamlease/streamlease/blob/main/docs/options.md
// [docs/fencing.md]: https://github.com/streamlease/streamlease/blob/main/docs/fencing.md
// [docs/guarantees.md]: https://github.com/streamlease/streamlease/blob/main/docs/guarantees.md
// [docs/operations.md]: https://github.com/streamlease/streamlease/blob/main/docs/operations.md
// [docs/troubleshooting.md]: https://github.com/streamlease/streamlease/blob/main/docs/troubleshooting.md
// [docs/costs.md]: https://github.com/streamlease/streamlease/blob/main/docs/costs.md
// [docs/sizing.md]: https://github.com/streamlease/streamlease/blob/main/docs/sizing.md
// [docs/architecture.md]: https://github.com/streamlease/streamlease/blob/main/docs/architecture.md
package engine
