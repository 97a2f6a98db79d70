package hostile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/telemetry"
)

// member is an engine that keeps what it owns.
type member struct {
	w      *harness
	engine *engine.Engine
	ran    chan error
	log    telemetry.Log

	mu     sync.Mutex
	leases map[string]api.Lease // of the last Added of each stream
}

func (h *harness) start() *member {
	h.T.Helper()
	m := &member{w: h, ran: make(chan error, 1), leases: make(map[string]api.Lease)}
	var err error
	m.engine, err = engine.Open(h.server.ClientOption(), h.service, engine.WithSettle(false), engine.WithLogger(m.log.Logger()),
		engine.WithRecovery(scan.Config{Interval: scan.MinInterval, RetryDelay: scan.MinDelay, CrashDelay: scan.MinDelay}))
	require.NoError(h.T, err)
	go func() { m.ran <- m.engine.Run(context.Background(), api.Funcs{Added: m.added}) }()
	h.until("the engine is ready", func() bool { return m.engine.Ready(context.Background()) == nil }, m)
	return m
}

func (m *member) added(_ context.Context, n api.Notification) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leases[n.Stream] = n.Lease
	return nil
}

// held reports whether the engine believes it holds a stream.
func (m *member) held(stream string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leases[stream]
	return l != nil && l.Remaining() > 0
}

// stop shuts the engine down, which requeues everything.
func (m *member) stop() {
	m.w.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience())
	defer cancel()
	if err := m.engine.Shutdown(ctx); err != nil {
		m.w.fail(fmt.Sprintf("shutdown: %v", err), m)
	}
	select {
	case err := <-m.ran:
		require.NoError(m.w.T, err)
	case <-time.After(patience()):
		m.w.fail("Run does not return", m)
	}
}
