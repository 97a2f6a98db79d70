package engine

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// NewClient makes another client of the servers that the engine uses: with the address, credentials, TLS and sentinels that were given
// to Open or WithDial, zero fields set as by [ClientOption]. As with the engine's own clients, its connections follow servers that
// announce that they move, and it is replaced inside when its server turns out to have been demoted. tune, if it is not nil, changes
// the options first; it must leave the functions that dial as they are.
//
// The caller closes the client: at the end of the layer that asked for it, say. The engine does not, and once the engine has ended
// the client follows no server any more.
//
// Errors match api.ErrInvalidConfig if the engine was made by New without WithDial: it does not know how to connect then. Others are
// those of connecting, which is attempted once.
func (e *Engine) NewClient(tune func(*rueidis.ClientOption)) (rueidis.Client, error) {
	if e.cfg.dial == nil {
		return nil, invalid("NewClient: the engine was given a client and cannot make others; use Open, or add WithDial to New")
	}
	var opt rueidis.ClientOption
	if d := e.cfg.dialer; d != nil {
		opt = d.ClientOption(e.cfg.notices.RelaxedTimeout)
	} else {
		opt = tuned(*e.cfg.dial, e.cfg)
	}
	if tune != nil {
		tune(&opt)
	}
	c, err := cluster.NewClient(opt)
	if err != nil {
		return nil, explainConnecting(err)
	}
	e.extra.add(c)
	return &extraClient{Client: c, closed: func() { e.extra.remove(c) }}, nil
}

// Client returns the engine's client for everything but renewals. Whoever made it closes it: the engine, at its end, if that was made
// by Open. Before the start it may not be connected yet.
func (e *Engine) Client() rueidis.Client { return e.client }

// SlotMaster returns the address of the master that serves a slot, as far as this engine knows; "" if that is not known or there is no
// cluster, and before the start. Layer.Topology is called after it may have changed.
func (e *Engine) SlotMaster(slot uint16) string {
	if !e.life.isRunning() || slot >= cluster.Slots {
		return ""
	}
	return e.topology.master(slot)
}

// Logger returns what WithLogger set, with the name of the service.
func (e *Engine) Logger() *slog.Logger { return e.cfg.logger.With("service", e.layout.Service()) }

// Registerer returns what WithRegisterer set, nil if nothing did.
func (e *Engine) Registerer() prometheus.Registerer { return e.cfg.registerer }

// Service returns the name of the service.
func (e *Engine) Service() string { return e.layout.Service() }

// Partitions returns the number of partitions of the service.
func (e *Engine) Partitions() int { return e.layout.Partitions() }

// SessionTTL returns how long a session lasts without a beat. On a cluster, the default is not known before the engine is connected.
func (e *Engine) SessionTTL() time.Duration { return e.cfg.sessionTTL }

// Clock returns the clock by which leases are held.
func (e *Engine) Clock() lease.Clock { return e.clock }

// clients returns all clients that the engine made and that are open.
func (e *Engine) clients() []*cluster.Client { return append(e.extra.all(), e.own...) }
