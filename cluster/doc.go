// Package cluster knows where things live: which partition a data stream
// belongs to, what the keys of a partition are called, and which slot of a
// Redis Cluster they are in.
//
// Programs need little of it: a [Config] for engine.WithCluster, [Partition] for producers that add to input streams themselves, and
// [SuggestPartitions] with [SpreadOf] to choose a number of partitions ([docs/partitions.md]); all else is called by the engine:
//
//	input := "chat-input"
//	if p := cluster.Partition("room-7", 16); p > 0 {
//		input = fmt.Sprintf("chat-input-%d", p)
//	}
//
// Functions and a [Layout] may be used by several goroutines. Errors of names and numbers match [api.ErrInvalidConfig] or
// [api.ErrInvalidStream]; [ErrNoTopology] is of a [Topology], when no node says which master serves which slot: it looks again.
//
// A service has a fixed number of partitions. Each is one input stream S and
// the keys named {S}…: with the whole name of S as their hash tag they share
// the slot of S, so a script may touch them together. A data stream belongs to
// the partition that [Partition] computes from its name; its lease lives with
// that partition, whatever slot the data stream itself is in.
//
// A [Layout] holds these names for one service and never changes.
//
// Which master serves a slot changes, and nothing announces it. A [Topology]
// asks nodes when it is called, and returns the slots that moved: the
// difference of two sets. Scripts reach the right master without it, since the
// client follows redirections; it exists so that a master that hangs can be
// distinguished from the others, and so that partitions that moved are
// renewed at once. A [Client] can be replaced by a new one while it is in use, for connections
// to a server that was demoted.
//
// # Stability
//
// Stable, for users of the library:
//
//   - [Config], with its methods, its default and its limits, which
//     engine.WithCluster takes;
//   - [Partition], [DefaultPartitions] and [MaxPartitions], for producers and
//     for those who plan a service;
//   - [Spread], [SpreadOf], [SuggestPartitions], [Owners], [EvenOwners] and
//     [GoodSpread], which [docs/partitions.md] describes and engine.Preflight
//     reports;
//   - [MaxServiceName], [MaxConsumerID] and [MaxStreamName];
//   - in package notice, Config with all that its fields take, which
//     engine.WithMaintenance takes.
//
// All other exported names, here and in the packages below, are for this
// module and may change in any version.
//
// [docs/partitions.md]: https://github.com/streamlease/streamlease/blob/main/docs/partitions.md
package cluster
