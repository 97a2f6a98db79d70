package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are below the range (32768 and up on Linux) from which the kernel takes the local ports of outgoing connections: a client
// that keeps dialing a stopped server on a port of that range would sooner or later connect to itself, and so keep the server from
// coming back. The bus of a cluster node listens at +10,000; the range is not longer than that, so no bus collides with another
// server.
const (
	busOffset  = 10000
	firstPort  = 12000
	lastPort   = firstPort + busOffset
	portProbes = 1000
)

// ports are those used by servers of this process, including stopped servers that may be restarted.
var ports struct {
	mu    sync.Mutex
	taken map[int]bool
}

func reservePort() (int, error) {
	for range portProbes {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if claimPort(port) {
			if listenable(port) && listenable(port+busOffset) {
				return port, nil
			}
			releasePort(port)
		}
	}
	return 0, errors.New("servers: no free port found")
}

func claimPort(port int) bool {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.taken[port] {
		return false
	}
	if ports.taken == nil {
		ports.taken = make(map[int]bool)
	}
	ports.taken[port] = true
	return true
}

func releasePort(port int) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	delete(ports.taken, port)
}

func listenable(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
