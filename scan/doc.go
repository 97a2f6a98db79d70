// Package scan inspects a service (dead letters, backlogs, owners, the whole of it) and recovers what dead consumers left behind.
//
// Programs and people use it to look and to repair: an [Inspector] needs a client and the name of a service, and no running engine. What
// to do about what it shows is in [docs/operations.md]; scan/console is a web page of it, the command streamlease prints it
// ([docs/cli.md]). Recovery itself is done by every engine, which package engine configures with a [Config]
// (engine.WithRecovery); nobody else has to call anything for it.
//
// This prints what was given up, and sends it back once the fault is fixed:
//
//	i, err := scan.NewInspector(client, "chat", scan.InspectorConfig{})
//	if err != nil {
//		return err
//	}
//	for letter, err := range i.Letters(ctx, scan.Selection{Reason: "retries"}) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(letter.Stream, letter.Reason)
//	}
//	_, err = i.SendBack(ctx, scan.Selection{Reason: "retries"})
//	return err
//
// # What comes first
//
//   - One stream: [Inspector.Story] says where it stands and why, [Inspector.Owner] who owns it.
//   - The service: [Inspector.Backlog], [Inspector.Consumers] with [Inspector.Holdings], [Inspector.Balance], [Inspector.Turnover],
//     [Inspector.Settling].
//   - Announcements that nobody works on: [Inspector.Letters], [Inspector.Delayed] and [Inspector.Stranded], each for a [Selection], with
//     [Inspector.SendBack], [Inspector.Drop], [Inspector.BringForward], [Inspector.CancelDelayed] and [Inspector.Reannounce].
//   - What operators wish of running processes: [Inspector.Ask], [Inspector.Wishes], [Inspector.Withdraw].
//   - A stopped service: [Inspector.Survey], [Inspector.Repartition], [Inspector.DeleteService].
//
// # How the dead are recovered
//
// A consumer is dead when it has a session and that is past its deadline. Its pending entries are requeued one by one, and its
// leases are freed with them, so that nobody waits for a TTL. An entry whose owner crashed is delayed, longer with each crash. One that
// failed too often becomes a dead letter. So does one whose owners crashed too often, if it stands out from everything that died with it:
// it is poison then. [docs/recovery.md] has all of it.
//
// # Errors
//
// Those of an Inspector are the client's, with what to do where that is known, or match one of package api or of these:
//
//   - [ErrUnknownService]: Redis has nothing of the service. Check the name and the database.
//   - [ErrServiceRunning]: stop the consumers first; nothing was changed. [ErrServiceJoined], [ErrStillWritten], [ErrTakenOver]: a
//     change of the whole service has begun and not ended. Do what the error says, and run the same operation again.
//   - [ErrTooManyWishes]: withdraw some.
//   - [ErrRequeued], [DelayedError], [ErrUndecided], [ErrDeadLetter]: why engine.Engine.Requeue requeued nothing.
//
// [ErrNotMine], [ErrBusy] and [ErrRefused] are of a [Store], for this module.
//
// # Concurrency and costs
//
// An Inspector is safe for concurrent use and starts nothing. Its calls read from masters, page by page, with one attempt each; what goes
// through everything says so. In the steady state a scan of an engine costs one round trip per partition, however much is pending: only
// consumers whose session has ended, or that have none, are looked at more closely. Nothing here shares a connection, a lock or a budget
// with the renewal of leases.
//
// # Stability
//
// Stable names, which programs outside this module may use: [Config] with its defaults and limits, its WithDefaults and Validate;
// [Inspector], and everything that its methods take and return ([InspectorConfig], [Selection], [DeadLetter], [Backlog], [Ownership],
// [Consumer], [Session], [Holding], [Stranded], [Balance], [Wish], [Story], [Turnover], [Survey], [Progress] and their parts); and the
// errors that those and Engine.Requeue document. The wording of Story.Why and Story.Unread is for people, and changes. Cursors are
// opaque, and of one version. Only for this module: [Store], [Settings], [Recovered], [ClaimTime], [Scripts], the errors of
// [Store.Recover], and the other methods of Config.
//
// [docs/operations.md]: https://github.com/streamlease/streamlease/blob/main/docs/operations.md
// [docs/cli.md]: https://github.com/streamlease/streamlease/blob/main/docs/cli.md
// [docs/recovery.md]: https://github.com/streamlease/streamlease/blob/main/docs/recovery.md
package scan
