// Package test holds what needs real servers: integration, cluster and fault tests.
// The helper packages beside it start the servers (servers) and come between them and a client (proxy).
// Nothing here ends up in a shipped binary.
package test
