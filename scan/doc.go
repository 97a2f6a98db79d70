// Package scan recovers what dead consumers left behind, and inspects a service: dead letters, backlogs, owners.
//
// A consumer is dead when it has a session and that is past its deadline. Its pending entries are requeued one by one, and its
// leases are freed with them, so that nobody waits for a TTL. An entry whose owner crashed is delayed, longer with each crash.
// One that failed too often becomes a dead letter. So does one whose owners crashed too often, if it stands out from everything
// that died with it: it is poison then. Dead letters can be listed and sent back.
//
// In the steady state a scan costs one round trip per partition, however much is pending: only consumers whose session has
// ended, or that have none, are looked at more closely. Nothing here shares a connection, a lock or a budget with the renewal
// of leases.
//
// Stable names, which programs outside this module may use: Config with its defaults and limits, its WithDefaults and Validate;
// Inspector, and everything that its methods take and return (InspectorConfig, Selection, DeadLetter, Backlog, Ownership,
// Consumer, Session, Holding, Stranded, Balance, Wish, Story, Turnover, Survey, Progress and their parts); and the errors that
// those and Engine.Requeue document. The wording of Story.Why and Story.Unread is for people, and changes. Cursors are opaque,
// and of one version.
// Only for this module: Store, Settings, Recovered, ClaimTime, Scripts, the errors of Store.Recover, and the other methods of
// Config.
package scan
