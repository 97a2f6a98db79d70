// Package cluster lets engines own streams on a Redis Cluster while its slots move, its masters fail and its replicas take
// over, and compares what all of them believed meanwhile.
package cluster
