package cluster

// Config tunes how the topology of a Redis Cluster is followed. It has no
// field yet; the zero value is valid and means the defaults.
type Config struct{}
