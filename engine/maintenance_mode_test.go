package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/test/notices"
)

func TestMaintenanceIsReported(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		e := h.start(nil, noticesFrom(node))
		advance(time.Second)
		require.NoError(t, e.Ready(t.Context()))
		push(t, node, failingOver)
		push(t, node, failingOver)
		require.Equal(t, 1, e.counted("maintenance_windows"))
		require.Equal(t, 1, e.counted("maintenance_nodes"))
		require.Equal(t, 2, e.counted("maintenance_notices_total", "kind", "failing_over"))
		require.Equal(t, DefaultSessionTTL.Milliseconds()*4/10, e.ttls.timeout().Milliseconds(), "calls have longer timeouts")
		advance(3*30*time.Second - 1)
		push(t, node, ">3\r\n+FAILED_OVER\r\n:11\r\n+7\r\n")
		advance(time.Second)
		require.Zero(t, e.counted("maintenance_windows"))
		advance(20 * time.Second)
		require.Equal(t, e.cfg.timeout, e.ttls.timeout())

		e.mu.Lock()
		defer e.mu.Unlock()
		var reported []api.Event
		for _, v := range e.emitted {
			if v.Maintenance != nil {
				reported = append(reported, v)
			}
		}
		require.Len(t, reported, 3)
		require.Equal(t, api.EventMaintenanceStarted, reported[0].Kind)
		require.Equal(t, &api.Maintenance{Notice: "FAILING_OVER", Seq: 10, Node: "node:1", Shards: []string{"1"},
			Announced: 30 * time.Second, Length: 30 * time.Second}, reported[0].Maintenance)
		require.Equal(t, "FAILING_OVER 10 of node:1, shards 1, announced for 30s, taken for 30s; 1 of 1 partitions", reported[0].Detail)
		require.True(t, reported[1].Maintenance.Completed, "of a window whose beginning was missed")
		require.Equal(t, "FAILING_OVER 10 of node:1, shards 1, time is up; 1 of 1 partitions", reported[2].Detail)
		require.Contains(t, e.logs.String(), "maintenance started")
	})
}

// An engine that requires notices is not ready if a server refuses to send them; with Auto the refusal is only logged. With
// Off, the engine does not ask for them.
func TestMaintenanceModes(t *testing.T) {
	for _, c := range []struct {
		mode     notice.Mode
		ready    bool
		commands int
		logged   string
	}{
		{notice.On, false, 2, "a server refuses to announce maintenance"},
		{notice.Auto, true, 2, `level=DEBUG msg="the server does not announce maintenance, which is usual"`},
		{notice.Off, true, 0, ""},
	} {
		bubble(t, 1, func(t *testing.T, h *harness) {
			node := h.noticeNode(notices.Options{Refuse: unknownSubcommand})
			e := h.start(nil, noticesFrom(node), WithMaintenance(notice.Config{Mode: c.mode}))
			advance(time.Hour / 2)
			require.Len(t, node.Commands(), c.commands, "asked once")
			err := e.Ready(t.Context())
			require.Equal(t, c.ready, err == nil, "%v", err)
			if !c.ready {
				require.ErrorIs(t, err, api.ErrNotReady)
				require.ErrorContains(t, err, "unknown subcommand")
			}
			require.Contains(t, e.logged(), c.logged)
		})
	}
}

func TestMaintenanceModeOnNeedsAWayToConnect(t *testing.T) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}, ForceSingleClient: true,
		DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
			return nil, errors.New("no")
		}})
	require.Error(t, err)
	_, err = New(client, "svc", WithMaintenance(notice.Config{Mode: notice.On}))
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	_, err = New(client, "svc", WithMaintenance(notice.Config{MaxWindow: time.Second}))
	require.ErrorIs(t, err, api.ErrInvalidConfig)
	require.ErrorContains(t, err, "MaxWindow")
}
