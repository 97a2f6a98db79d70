package engine

import (
	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/engine/internal/metrics"
)

// noticeHooks tells the user's hook of single notices, and counts them.
type noticeHooks struct{ *env }

// noticed is called when a notice has arrived, before anything is done about it.
func (h noticeHooks) noticed(a notice.Arrival) {
	h.metrics.Inc(metrics.Notices.With(a.Kind))
	h.hook(api.Event{Kind: api.EventNoticeReceived, Partition: api.NoPartition, Notice: asNotice(&a)})
}

// noticeEffects has the names that users see.
var noticeEffects = [...]api.NoticeEffect{
	notice.Began: api.NoticeBegan, notice.Ended: api.NoticeEnded, notice.Repeated: api.NoticeRepeated, notice.Outdated: api.NoticeOutdated,
}

// handled is called when a notice was acted on.
func (h noticeHooks) handled(a notice.Arrival) {
	if a.Restarted {
		h.log.Info("the numbers of maintenance notices begin again", "server", a.Node, "notice", a.Kind.String(), "seq", a.Seq)
	}
	n := asNotice(&a)
	n.Effect, n.Restarted = noticeEffects[a.Effect], a.Restarted
	h.hook(api.Event{Kind: api.EventNoticeHandled, Partition: api.NoPartition, Notice: n})
}

// asNotice converts a notice for api.Event.
func asNotice(a *notice.Arrival) *api.Notice {
	return &api.Notice{
		Name: a.Kind.String(), Seq: a.Seq, Node: a.Node, Endpoint: a.Endpoint, Shards: a.Shards, Slots: a.Slots.Len(), Announced: a.In,
	}
}
