// Package cluster knows where things live: which partition a data stream
// belongs to, what the keys of a partition are called, and which slot of a
// Redis Cluster they are in.
//
// A service has a fixed number of partitions. Each is one input stream S and
// the keys named {S}…: with the whole name of S as their hash tag they share
// the slot of S, so a script may touch them together. A data stream belongs to
// the partition that [Partition] computes from its name; its lease lives with
// that partition, whatever slot the data stream itself is in.
//
// A [Layout] holds these names for one service and never changes.
//
// Which master has a slot changes, and nothing announces it. A [Topology] asks
// nodes when it is told to, and says which slots moved: the difference of two
// sets. Scripts go where they must without it, since the client follows
// redirections; it is there so that a master which hangs is known from the
// others, and so that partitions which moved are renewed at once. A [Client]
// is one that can be made anew, for those who talk to a server that was
// demoted.
package cluster
