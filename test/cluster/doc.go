// Package cluster tests engines on a Redis Cluster while its slots migrate, its masters fail and its replicas take over. Every
// test compares at the end what all engines believed they owned.
package cluster
