package feedtest

import (
	"log/slog"
	"sync"
	"time"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/api/leasetest"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/engine/feed/internal/backing"
	"github.com/streamlease/streamlease/engine/feed/internal/position"
)

// Feed is a feed on streams in memory. All its methods, and those of its streams, may be called from any goroutine.
type Feed struct {
	*feed.Feed // Lag and Stats

	under   backing.Feed
	streams *store
	lane    *lane

	mu     sync.Mutex
	owned  map[string]*Ownership // the last one of each stream
	closed bool
}

// New returns a feed with that handler and configuration. Mode, Sweep and PollEvery mean nothing here, and nothing is trimmed. It panics
// where feed.New returns an error. Close it.
func New(h feed.Handler, c feed.Config) *Feed {
	f := &Feed{streams: newStore(), owned: make(map[string]*Ownership)}
	f.lane = newLane(f.streams)
	under, shown, err := backing.New(h, c, backing.Parts{
		Reader: f.lane, Leaver: leaver{f}, Logger: slog.New(slog.DiscardHandler), Service: "feedtest",
	})
	if err != nil {
		panic(err)
	}
	f.under, f.Feed = under, shown.(*feed.Feed)
	return f
}

// Close hands all streams back that are owned still, and waits until no handler runs any more.
func (f *Feed) Close() {
	f.mu.Lock()
	all := make([]*Ownership, 0, len(f.owned))
	if !f.closed {
		for _, o := range f.owned {
			all = append(all, o)
		}
	}
	first := !f.closed
	f.closed = true
	f.mu.Unlock()
	for _, o := range all {
		o.Release()
	}
	for _, o := range all {
		<-o.Ended()
	}
	if first {
		<-f.under.Stop()
		f.lane.stop()
	}
}

// Add appends a message to a stream, as XADD does: with an ID of the time of package time. It returns the ID.
func (f *Feed) Add(stream string, fields ...feed.Field) (id string) {
	now := position.ID{MS: uint64(time.Now().UnixMilli())}
	return f.append(stream, func(last position.ID) position.ID {
		if !last.Less(now) {
			now = position.ID{MS: last.MS, Seq: last.Seq + 1}
		}
		return now
	}, fields)
}

// AddID appends a message with that ID, such as "5-0". It panics if the ID is not above all that the stream had.
func (f *Feed) AddID(stream, id string, fields ...feed.Field) {
	given, err := position.Parse(id)
	if err != nil {
		panic(err)
	}
	f.append(stream, func(last position.ID) position.ID {
		if !last.Less(given) {
			panic("feedtest: " + id + " is not above the last ID of the stream, " + last.String())
		}
		return given
	}, fields)
}

func (f *Feed) append(stream string, next func(last position.ID) position.ID, fields []feed.Field) string {
	id := f.streams.add(stream, next, fields)
	f.lane.ring(stream)
	return id
}

// Trim deletes all but the last n messages of a stream, read or not, as XTRIM MAXLEN does.
func (f *Feed) Trim(stream string, n int) {
	if f.streams.trim(stream, n) {
		f.lane.ring(stream)
	}
}

// Delete deletes a stream, as DEL does. It may begin again with lower IDs.
func (f *Feed) Delete(stream string) {
	f.streams.delete(stream)
	f.lane.ring(stream)
}

// Forget makes the streams those of another server that has forgotten the last n messages of the stream, as after a failover. All
// streams are read again.
func (f *Feed) Forget(stream string, n int) {
	f.streams.forget(stream, n)
	f.under.Topology()
}

// Len returns how many messages a stream has.
func (f *Feed) Len(stream string) int { return f.streams.len(stream) }

// Own makes the process own a stream, as an announcement does. The lease has the checkpoint that the last one left, and a greater token;
// options of leasetest come after. It panics if the stream is owned here still, or if the work of an earlier ownership goes on: an
// engine would not own it then.
func (f *Feed) Own(stream string, opts ...leasetest.Option) *Ownership {
	token, checkpoint := api.Token(1), ""
	f.mu.Lock()
	if last := f.owned[stream]; last != nil {
		token, checkpoint = last.Lease.Token()+1, last.Lease.NextCheckpoint()
	}
	f.mu.Unlock()
	given := append([]leasetest.Option{leasetest.WithToken(token), leasetest.WithCheckpoint(checkpoint)}, opts...)
	return f.OwnLease(leasetest.New(stream, given...))
}

// OwnLease does the same with a lease that the test has made and prepared.
func (f *Feed) OwnLease(l *leasetest.Lease) *Ownership {
	o := f.own(l)
	f.under.Added(o.Lease)
	return o
}

func (f *Feed) own(l *leasetest.Lease) *Ownership {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		panic("feedtest: the feed is closed")
	}
	if last := f.owned[l.Stream()]; last != nil && !last.hasEnded() {
		panic("feedtest: " + l.Stream() + " is owned, or the work of its last ownership goes on")
	}
	o := &Ownership{feed: f, Lease: l, ended: make(chan struct{})}
	f.owned[l.Stream()] = o
	return o
}
