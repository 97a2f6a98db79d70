// Package schedule fires ticks: thousands of schedules, each every second to every year, spread over a fleet of processes. Each schedule
// is a data stream of an engine, so one process at a time owns it, and fires its ticks from a timing wheel of its own; another one goes on
// where that stopped.
//
//	table, err := schedule.NewTable(client, "monitors")
//	_, err = table.Put(ctx, schedule.Spec{Name: "shop/front page", Every: 30 * time.Second, Info: check})
//
//	e, err := engine.Open(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}}, "monitors")
//	r, err := schedule.New(e, func(o schedule.Owned) (schedule.Task, error) {
//		return schedule.TaskFunc(func(ctx context.Context, t *schedule.Tick) error { … }), nil
//	}, schedule.Config{})
//	err = r.Run(ctx)
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
// Tick.Remaining before an effect, or send Tick.Token along (see docs/fencing.md).
//
// Package scheduletest drives a task through virtual time in tests, without Redis.
package schedule
