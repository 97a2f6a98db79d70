package enginetest

import (
	"context"
	"time"
)

// Server is what can happen to the server that a fleet runs on.
type Server struct{ fleet *Fleet }

// Server returns the server of the fleet.
func (f *Fleet) Server() Server { return Server{f} }

// Stop takes the server down: connections end, and none can be made.
func (s Server) Stop() { s.fleet.server.Stop() }

// Start brings a stopped server up again, as the same one: as after a break of the network.
func (s Server) Start() {
	s.fleet.server.Start()
	s.fleet.reconnect()
}

// Restart restarts the server with everything that it had, as one that writes to a disk. Engines see another server, and settle.
func (s Server) Restart() {
	s.fleet.server.Restart(true)
	s.fleet.reconnect()
}

// RestartEmpty restarts the server with nothing.
func (s Server) RestartEmpty() {
	s.fleet.server.Restart(false)
	s.fleet.reconnect()
}

// StopReplication has the replica of the server fall behind: what is written from now on is lost by the next [Server.FailOver].
func (s Server) StopReplication() { s.fleet.server.StopReplication() }

// FailOver makes the replica the master. It has everything that was written before [Server.StopReplication] was called, or all.
func (s Server) FailOver() {
	s.fleet.server.FailOver()
	s.fleet.reconnect()
}

// Calls returns how often clients have called each command since the test began, those of the test included.
func (s Server) Calls() map[string]int { return s.fleet.server.Calls() }

// reconnect has the client of the test find the server again, so that the next call of the test is not the one that learns that the
// connection has ended.
func (f *Fleet) reconnect() {
	f.t.Helper()
	var err error
	for range 100 {
		if err = f.client.Do(context.Background(), f.client.B().Ping().Build()).Error(); err == nil {
			return
		}
		time.Sleep(firstPoll)
	}
	f.check("connecting to the server in memory", err)
}
