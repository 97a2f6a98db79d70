package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/test/notices"
)

// Trace: windows that never completed and were announced over and over held off recovery for as long as they came; 225 s were
// seen.
func TestRepeatedWindowsDoNotHoldOffRecoveryForever(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{})
		h.server.announce(streams(20)...)
		dead := h.start(nil, WithConsumerID("dead"))
		advance(time.Second)
		dead.kept(20)
		e := h.start(nil, noticesFrom(node), WithConsumerID("living"))
		advance(time.Second)
		seq := 0
		again := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); advance(5 * time.Second) {
				seq += 2
				push(t, node, fmt.Sprintf(">4\r\n+FAILING_OVER\r\n:%d\r\n:30\r\n+1\r\n", seq))
			}
		}
		again(5 * time.Second)
		dead.fake.failAll(faultHang)
		most := holdOffWindows * notice.DefaultMaxWindow
		again(most - 15*time.Second)
		require.Zero(t, e.Stats().Held, "held off")
		again(30 * time.Second)
		require.Equal(t, 20, e.Stats().Held, "despite the window")
	})
}

func TestHoldOffIsLimited(t *testing.T) {
	const most = 60
	var h holdOff
	require.False(t, h.holds(1, false, most))
	require.True(t, h.holds(10, true, most))
	require.True(t, h.holds(69, true, most))
	require.False(t, h.holds(70, true, most), "in total")
	require.False(t, h.holds(71, false, most))
	for now := int64(71); now < 1000; now += 50 {
		require.False(t, h.holds(now, true, most), "the pause was too short")
	}
	require.False(t, h.holds(1000, false, most))
	require.True(t, h.holds(1081, true, most), "after a pause of the same length")
	require.True(t, h.holds(1100, true, most))
	require.False(t, h.holds(1150, true, most))
}
