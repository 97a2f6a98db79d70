// Package migrating moves services to this library as docs/migrating-consumer-groups.md and docs/migrating-redis-stream-client-go.md
// say, and back, on a real server, and checks that nothing is lost, handled twice or owned twice.
package migrating
