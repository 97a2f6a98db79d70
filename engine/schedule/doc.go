// Package schedule fires ticks: thousands of schedules, each every second to every year, spread over a fleet of processes. Each schedule
// is a data stream of an engine, so one process at a time owns it, and fires its ticks from a timing wheel of its own; another one goes on
// where that stopped.
//
// Use it for checks, reports and other work at an interval or by a cron expression. What happens once, at a time, is an announcement with
// engine.WithNotBefore; what has messages is read by package engine/feed. [docs/schedules.md] has whole programs, and what changes for who
// comes from cron or another scheduler.
//
// One program puts schedules into the table, in each deploy or when users edit them:
//
//	table, err := schedule.NewTable(client, "monitors")
//	if err != nil {
//		return err
//	}
//	_, err = table.Put(ctx, schedule.Spec{Name: "shop/front page", Every: 30 * time.Second, Info: check{URL: "https://example.org/"}})
//	return err
//
// Others, as many as one likes, fire their ticks:
//
//	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "monitors")
//	if err != nil {
//		return err
//	}
//	r, err := schedule.New(e, func(o schedule.Owned) (schedule.Task, error) {
//		c, err := schedule.DecodeInfo[check](o.Spec)
//		return schedule.TaskFunc(func(ctx context.Context, t *schedule.Tick) error { return c.Do(ctx) }), err
//	}, schedule.Config{})
//	if err != nil {
//		return err
//	}
//	return r.Run(ctx) // runs the engine, too
//
// # What comes first
//
// A [Spec] says when a schedule ticks; [Spec.Next] shows it without Redis. A [Table] keeps specs: [Table.Put] and [Table.Sync] write
// them, [Table.Pause], [Table.Trigger] and [Table.Delete] change them, and [Table.Get], [Table.List] and [Table.Page] return the
// [Status] of each. A [Runner] owns schedules. For each ownership it opens a [Task], which handles one [Tick] after the other;
// [Tick.Save] keeps state for the next owner. A Task may also be a [Changer] and a [Stopper].
//
// # What holds
//
//   - No drift. The times of ticks are points of a grid, or what a cron expression says: no process, restart or edit moves them. Time
//     is that of the Redis server which has the schedule.
//   - At least once. A tick is done when its handler has returned and the checkpoint of its schedule is stored, under the fence of the lease.
//     A deploy loses and repeats nothing; after a crash, what was done in the last second may be repeated. The same tick has the same
//     Tick.ID, whoever fires it.
//   - One at a time. Of one schedule one tick is handled at a time, in one process.
//   - Nothing is silent. What was missed is counted, by division and not one by one, and the next tick says how many there were.
//
// What does not hold: two owners never exist, but a handler whose process was paused may still be at work when the next owner begins. Ask
// Tick.Remaining before an effect, or send Tick.Token along ([docs/fencing.md]).
//
// # Errors
//
// Those of a Table match [ErrNoSchedule] for a name of which there is none, and [ErrSpec] for a spec that is out of range, or a row that
// cannot be read: the message names the field and the remedy, and other schedules of the same call are changed all the same. What was
// not answered may have been done: call again. [ErrDeleted] and [ErrReplaced] are causes with which a [Stopper] is stopped, besides
// those of a lease ([api.ErrReleasing], [api.ErrLeaseLost]). An error of a Task is counted and logged, and the next tick comes on the
// grid: nothing is retried. [Runner.Run] returns what [engine.Engine.Run] does.
//
// A Table and a Runner may be used by any goroutine. Of one schedule everything is called one at a time; ticks of different schedules run
// in parallel, up to [Config].Workers. Goroutines come and go with the work: a schedule at rest has none, and costs Redis its lease
// ([docs/costs.md]).
//
// Package scheduletest drives a task through virtual time in tests, without Redis; scheduleview shows a table to operators.
//
// [docs/schedules.md]: https://github.com/streamlease/streamlease/blob/main/docs/schedules.md
// [docs/fencing.md]: https://github.com/streamlease/streamlease/blob/main/docs/fencing.md
// [docs/costs.md]: https://github.com/streamlease/streamlease/blob/main/docs/costs.md
package schedule
