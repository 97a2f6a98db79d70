package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/notices"
)

// The hook hears of each notice before and after it is acted on, and of what it changes in between; the log has what it changes.
func TestHooksHearOfEveryNotice(t *testing.T) {
	bubble(t, 1, func(t *testing.T, h *harness) {
		node := h.noticeNode(notices.Options{After: ">3\r\n+MIGRATED\r\n:9\r\n+7\r\n"})
		h.server.announce(streams(10)...)
		e := h.start(nil, noticesFrom(node))
		advance(time.Minute)
		heard := func() (kinds []api.EventKind, effects []api.NoticeEffect) {
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, v := range e.emitted {
				if v.Notice != nil {
					require.Equal(t, v.Kind == api.EventNoticeHandled, v.Notice.Effect != "")
					require.Equal(t, api.NoPartition, v.Partition)
					require.False(t, v.Time.IsZero())
				}
				if v.Kind == api.EventNoticeHandled {
					effects = append(effects, v.Notice.Effect)
				}
				if v.Notice != nil || v.Maintenance != nil {
					kinds = append(kinds, v.Kind)
				}
			}
			return kinds, effects
		}
		push(t, node, failingOver)
		push(t, node, failingOver)
		push(t, node, failedOver)
		push(t, node, ">4\r\n+FAILING_OVER\r\n:8\r\n:30\r\n+1\r\n")
		kinds, effects := heard()
		require.Equal(t, []api.EventKind{
			api.EventNoticeReceived, api.EventNoticeHandled,
			api.EventNoticeReceived, api.EventMaintenanceStarted, api.EventNoticeHandled,
			api.EventNoticeReceived, api.EventNoticeHandled,
			api.EventNoticeReceived, api.EventMaintenanceEnded, api.EventNoticeHandled,
			api.EventNoticeReceived, api.EventNoticeHandled,
		}, kinds)
		require.Equal(t, []api.NoticeEffect{
			api.NoticeOutdated, api.NoticeBegan, api.NoticeRepeated, api.NoticeEnded, api.NoticeOutdated,
		}, effects)
		require.NotContains(t, e.logged(), string(api.EventNoticeReceived))
		require.NotContains(t, e.logged(), string(api.EventNoticeHandled))

		advance(time.Minute)
		push(t, node, ">3\r\n+SMIGRATING\r\n:2\r\n+1,5-7\r\n")
		require.Contains(t, e.logged(), "the numbers of maintenance notices begin again")
		e.mu.Lock()
		defer e.mu.Unlock()
		require.Equal(t, &api.Notice{
			Name: "SMIGRATING", Seq: 2, Node: "node:1", Slots: 4, Effect: api.NoticeBegan, Restarted: true,
		}, e.emitted[len(e.emitted)-1].Notice)
	})
}

// A hook that panics at every notice, or never comes back from one, changes nothing about what notices do.
func TestNoticesWaitForNoHook(t *testing.T) {
	release := make(chan struct{})
	for name, hook := range map[string]api.EventFunc{
		"panics": func(api.Event) { panic("no") },
		"blocks": func(api.Event) { <-release },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, func(t *testing.T, h *harness) {
				release = make(chan struct{})
				node := h.noticeNode(notices.Options{})
				h.server.announce(streams(100)...)
				e := h.start(nil, noticesFrom(node), WithEvents(hook))
				defer close(release)
				advance(time.Minute)
				push(t, node, failingOver)
				advance(2 * time.Second)
				e.fake.failAll(faultHang)
				advance(25 * time.Second)
				e.fake.setFault(nil)
				push(t, node, failedOver)
				advance(2 * time.Second)
				e.kept(100)
			})
		})
	}
}
