package messages

import (
	"context"
	"fmt"
	"strconv"
	"syscall"

	"github.com/streamlease/streamlease/bench/report"
	"github.com/streamlease/streamlease/bench/target"
)

const (
	// spareDescriptors are what a client or a server has open besides a connection a stream.
	spareDescriptors = 200
	// spareClients is how many clients more than streams a private server takes.
	spareClients = 100
	// portsOfClients is how many connections one address can make to one server, with the usual range of ports.
	portsOfClients = 28_000
)

// descriptors is how many files a process may have open here.
func descriptors() (uint64, error) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return l.Max, err // the runtime raises the limit of a process to that
}

// impossible says why a connection for each of n streams cannot be had; empty: it can.
func impossible(n int) string {
	limit, err := descriptors()
	switch {
	case err != nil:
		return "the limit of descriptors cannot be read: " + err.Error()
	case uint64(n+spareDescriptors) > limit:
		return fmt.Sprintf("a connection for each of %s streams, where a process may have %s descriptors", report.Grouped(n), report.Grouped(limit))
	case n > portsOfClients:
		return fmt.Sprintf("a connection for each of %s streams, where a client has %s ports", report.Grouped(n), report.Grouped(portsOfClients))
	}
	return ""
}

// refuses says why a server that is not ours takes no connection for each of n streams; empty: it does, or it does not say.
func refuses(ctx context.Context, t *target.Target, n int) string {
	if t.Private != nil {
		return ""
	}
	answer, err := t.Client.Do(ctx, t.Client.B().ConfigGet().Parameter("maxclients").Build()).AsStrMap()
	if err != nil {
		return "" // connecting will tell
	}
	if most, err := strconv.Atoi(answer["maxclients"]); err == nil && n+spareClients > most {
		return fmt.Sprintf("a connection for each of %s streams, where the server takes %s clients", report.Grouped(n), report.Grouped(most))
	}
	return ""
}
