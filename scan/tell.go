package scan

import (
	"context"
	"errors"

	"github.com/streamlease/streamlease/cluster"
)

// Story returns what Redis knows about one data stream: who owns it, what is announced, delayed or given up, and why it does not
// move. It changes nothing.
//
// It reads one thing after the other, so what happens meanwhile may be missing, or there twice. The work is bounded: of each
// collection InspectorConfig.CountLimit items are looked at, and 20 are returned; Story.Unread says what that has cut short.
//
// Errors match api.ErrInvalidStream or ErrUnknownService; or they say what could not be read, and the rest is returned. Where the
// client fails, nothing more is read.
func (i *Inspector) Story(ctx context.Context, stream string) (Story, error) {
	if err := cluster.ValidateStream(stream); err != nil {
		return Story{}, err
	}
	layout, err := i.layout(ctx)
	if err != nil {
		return Story{}, err
	}
	t := &telling{Inspector: i, layout: layout, stream: stream, partition: layout.Of(stream), living: -1}
	t.story.Ownership, t.story.Ahead = Ownership{Stream: stream, Partition: t.partition}, -1
	for _, read := range []func(context.Context) error{
		t.readOwnership, t.readFleet, t.readSettling, t.readCheckpoint, t.readEntries, t.readDelayed, t.readLetters, t.readAgain,
	} {
		if err := read(ctx); err != nil {
			t.failed = append(t.failed, err)
			if clientFails(err) {
				break
			}
		}
	}
	t.conclude()
	return t.story, errors.Join(t.failed...)
}

// conclude says what all of it means.
func (t *telling) conclude() {
	s := &t.story
	referred := make(map[string]bool)
	for n := range s.Letters {
		referred[s.Letters[n].Reference] = true
	}
	for n := range s.Entries {
		e := &s.Entries[n]
		e.Stranded = e.Stranded && e.ID != s.Ownership.Entry && !referred[e.ID]
	}
	s.State = t.state()
	s.Why = t.why()
}

func (t *telling) state() StreamState {
	s := &t.story
	pending, waiting, stranded := s.count()
	switch {
	case s.Ownership.Consumer != "":
		return StreamOwned
	case pending > 0:
		return StreamRead
	case waiting > 0:
		return StreamWaiting
	case len(s.Delayed) > 0:
		return StreamDelayed
	case stranded > 0:
		return StreamStranded
	case len(s.Letters) > 0 && (s.Checkpoint == nil || !s.Checkpoint.DoneAt.After(s.Letters[0].At)):
		return StreamDead
	case s.Checkpoint != nil && !s.Checkpoint.DoneAt.IsZero():
		return StreamDone
	}
	return StreamUnknown
}
