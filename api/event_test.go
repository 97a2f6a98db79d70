package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

// The names end up in logs and alarms, and must not change.
func TestEventKindsKeepTheirNames(t *testing.T) {
	require.Equal(t,
		[]string{
			"session opened", "session lost", "settling started", "settling ended",
			"redis unreachable", "redis refuses", "redis reachable", "drain started",
			"maintenance started", "maintenance ended", "reads paused", "reads resumed", "hints missed", "crash loop",
			"notice received", "notice handled", "began", "ended", "repeated", "outdated",
		},
		[]string{
			string(api.EventSessionOpened), string(api.EventSessionLost),
			string(api.EventSettlingStarted), string(api.EventSettlingEnded),
			string(api.EventRedisUnreachable), string(api.EventRedisRefuses), string(api.EventRedisReachable),
			string(api.EventDrainStarted),
			string(api.EventMaintenanceStarted), string(api.EventMaintenanceEnded),
			string(api.EventReadsPaused), string(api.EventReadsResumed), string(api.EventHintsMissed), string(api.EventCrashLoop),
			string(api.EventNoticeReceived), string(api.EventNoticeHandled),
			string(api.NoticeBegan), string(api.NoticeEnded), string(api.NoticeRepeated), string(api.NoticeOutdated),
		})
}

// Zero is a partition, so an event about none has to say so.
func TestNoPartitionIsNotAPartition(t *testing.T) {
	require.Negative(t, api.NoPartition)
}
