package enginetest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
)

// An assertion that waits looks again after firstPoll, and then less and less often.
const (
	firstPoll = 10 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
)

// Eventually waits until ok returns true, and ends the test if it does not within [Fleet.Patience]. what says what is waited for.
func (f *Fleet) Eventually(what string, ok func() bool) {
	f.t.Helper()
	f.await(what, ok, func() string { return "" })
}

// await is Eventually for a check that can be explained if it fails.
func (f *Fleet) await(what string, ok func() bool, explain func() string) {
	f.t.Helper()
	pause, deadline := firstPoll, time.Now().Add(f.Patience)
	for !ok() {
		if !time.Now().Before(deadline) {
			f.t.Fatalf("%s: not within %v. %s", what, f.Patience, explain())
		}
		time.Sleep(pause)
		pause = min(pause*3/2, lastPoll)
	}
}

// OwnedBy waits until the process owns the stream: both Redis and its engine say so. Of a process that [Fleet.Go] started, Redis
// alone does: the name of its consumer has to begin with that of the process (engine.WithConsumerID).
func (f *Fleet) OwnedBy(stream string, p *Process) {
	f.t.Helper()
	f.await(stream+" owned by "+p.name, func() bool {
		if p.engine == nil {
			return strings.HasPrefix(f.owner(stream), p.name+".")
		}
		_, held := p.engine.Lease(stream)
		return held && f.owner(stream) == p.engine.ID()
	}, f.told(stream))
}

// Owned waits until somebody owns the stream.
func (f *Fleet) Owned(stream string) {
	f.t.Helper()
	f.await(stream+" owned", func() bool { return f.owner(stream) != "" }, f.told(stream))
}

// InState waits until the stream is in a state, by what Redis knows of it: delayed, dead (a dead letter), waiting, …
func (f *Fleet) InState(stream string, state scan.StreamState) {
	f.t.Helper()
	f.await(fmt.Sprintf("%s %s", stream, state), func() bool { return f.story(stream).State == state }, f.told(stream))
}

// Done waits until an owner of the stream has ended it for good, and nothing of it is announced.
func (f *Fleet) Done(stream string) {
	f.t.Helper()
	f.await(stream+" done", func() bool { return f.ledger.of(stream).since && !announced(f.story(stream)) }, f.told(stream))
}

// HandledUpTo waits until a feed has handled the message of the stream with that ID, and all before it, and has stored that, which
// it does once a second or so.
func (f *Fleet) HandledUpTo(stream, id string) {
	f.t.Helper()
	at := ""
	f.await(fmt.Sprintf("%s handled up to %s", stream, id), func() bool {
		at = handled(f.story(stream))
		return !before(at, id)
	}, func() string { return fmt.Sprintf("It is handled up to %s. %s", at, f.told(stream)()) })
}

// SavedState returns the state that the handlers of a feed have saved with the position of a stream, as far as it is stored, which it is
// once a second or so; "" if none is. It does not wait: HandledUpTo does.
func (f *Fleet) SavedState(stream string) string {
	f.t.Helper()
	if c := f.story(stream).Checkpoint; c != nil {
		state, _ := feed.SavedState(c.Value)
		return state
	}
	return ""
}

// AllHandled waits until feeds have handled each message that was sent with [Fleet.Send].
func (f *Fleet) AllHandled() {
	f.t.Helper()
	for _, stream := range f.ledger.names() {
		if ids := f.ledger.of(stream).messages; len(ids) > 0 {
			f.HandledUpTo(stream, ids[len(ids)-1])
		}
	}
}

// NothingLost fails the test if something that was announced or sent by the fleet is nowhere any more: a stream that was not done
// since, and is neither owned nor announced, delayed or a dead letter; or a message that no feed has handled, of a stream that is
// neither. It does not wait: what is on its way is not lost.
func (f *Fleet) NothingLost() {
	f.t.Helper()
	for _, stream := range f.ledger.names() {
		account, story := f.ledger.of(stream), f.story(stream)
		if announced(story) {
			continue
		}
		if !account.since || account.ended < account.published {
			f.t.Errorf("%s is lost: nobody owns it, it is not announced, and its owners have ended it %d times. %s",
				stream, account.ended, f.describe(story))
			continue
		}
		at := handled(story)
		for _, id := range account.messages {
			if before(at, id) {
				f.t.Errorf("message %s of %s is lost: the stream was done when it was handled up to %s", id, stream, at)
				break
			}
		}
	}
}

// announced reports whether somebody owns a stream or may get it: with a dead letter, once a person sends it back.
func announced(s scan.Story) bool {
	return s.Ownership.Consumer != "" || len(s.Entries)+len(s.Delayed) > 0 || s.State == scan.StreamDead
}

func (f *Fleet) story(stream string) scan.Story {
	f.t.Helper()
	story, err := f.inspector.Story(f.context(), stream)
	f.check("looking at "+stream, err)
	return story
}

// owner returns the name of the consumer that owns a stream, "" for none.
func (f *Fleet) owner(stream string) string {
	f.t.Helper()
	o, err := f.inspector.Owner(f.context(), stream)
	f.check("looking at "+stream, err)
	return o.Consumer
}

// told returns a function that says how a stream stands, for a test that fails.
func (f *Fleet) told(stream string) func() string {
	return func() string { return f.describe(f.story(stream)) }
}

func (f *Fleet) describe(s scan.Story) string {
	return fmt.Sprintf("It is %s, owned by %s. %s", s.State, f.nameOf(s.Ownership.Consumer), s.Why)
}

// handled is the ID of the last message that a feed has handled, "0-0" if none.
func handled(s scan.Story) string {
	if s.Checkpoint != nil {
		if id, ok := feed.HandledUpTo(s.Checkpoint.Value); ok {
			return id
		}
	}
	return "0-0"
}

// before reports whether one ID of a message is before another.
func before(a, b string) bool {
	ams, aseq := parts(a)
	bms, bseq := parts(b)
	return ams < bms || ams == bms && aseq < bseq
}

func parts(id string) (ms, seq uint64) {
	head, tail, _ := strings.Cut(id, "-")
	ms, _ = strconv.ParseUint(head, 10, 64)
	seq, _ = strconv.ParseUint(tail, 10, 64)
	return ms, seq
}
