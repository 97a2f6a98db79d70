package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/feed"
	"github.com/streamlease/streamlease/scan"
)

// story is what there is of a stream, in JSON.
type story struct {
	stream
	State        string            `json:"state"`
	Why          string            `json:"why"`
	Partition    int               `json:"partition"`
	At           *time.Time        `json:"at"`
	Owner        string            `json:"owner"`
	Session      string            `json:"session"`
	SessionUntil *time.Time        `json:"session_until"`
	Process      *processOf        `json:"process"` // what it says of itself; its fair share is not known here, and 0
	Token        api.Token         `json:"token"`
	Since        *time.Time        `json:"since"`
	Until        *time.Time        `json:"until"`
	Entry        string            `json:"entry"`
	Waiting      string            `json:"waiting"` // ID of an announcement that waits for this one to end
	Retries      int               `json:"retries"`
	Crashes      int               `json:"crashes"`
	Entries      []announcement    `json:"announcements"`
	Delayed      []delayed         `json:"delayed"`
	Letters      []deadLetter      `json:"dead_letters"`
	Checkpoint   *storedCheckpoint `json:"checkpoint"`
	Settling     *time.Time        `json:"settling_until"`
	Ahead        *int              `json:"ahead"` // null: unknown, or nothing of it is undelivered
	Unread       []string          `json:"not_looked_through"`
}

// announcement is an entry of the input stream.
type announcement struct {
	ID        string     `json:"id"`
	Announced *time.Time `json:"announced"`
	Consumer  string     `json:"consumer"` // it is pending for; empty: none
	Idle      float64    `json:"idle_seconds"`
	Retries   int        `json:"retries"`
	Crashes   int        `json:"crashes"`
	Stranded  bool       `json:"stranded"`
}

// storedCheckpoint is how far the owners of a stream have come.
type storedCheckpoint struct {
	Token     api.Token  `json:"token"`
	Value     string     `json:"value"`
	Bytes     []byte     `json:"value_base64,omitempty"` // where the value is not UTF-8
	DoneAt    *time.Time `json:"done_at"`
	HandledTo string     `json:"handled_up_to,omitempty"` // of a feed
}

func storyOf(s *scan.Story) story {
	o := &s.Ownership
	j := story{
		stream: streamOf(o.Stream), State: string(s.State), Why: s.Why, Partition: o.Partition, At: stamp(o.At), Owner: o.Consumer,
		Session: string(o.Session.State), SessionUntil: stamp(o.Session.Until), Token: o.Token, Since: stamp(o.Since), Until: stamp(o.Until),
		Entry: o.Entry, Waiting: o.Waiting, Retries: o.Retries, Crashes: o.Crashes, Entries: []announcement{}, Delayed: []delayed{},
		Letters: deadLettersOf(s.Letters), Settling: stamp(s.Settling), Ahead: known(s.Ahead), Unread: append([]string{}, s.Unread...),
	}
	if s.Owner != nil {
		p := processIn(s.Owner)
		j.Process = &p
	}
	for _, e := range s.Entries {
		j.Entries = append(j.Entries, announcement{e.ID, stamp(e.Announced), e.Consumer, seconds(e.Idle), e.Retries, e.Crashes, e.Stranded})
	}
	for _, d := range s.Delayed {
		j.Delayed = append(j.Delayed, delayedOf(&d))
	}
	if c := s.Checkpoint; c != nil {
		j.Checkpoint = &storedCheckpoint{Token: c.Token, Value: c.Value, DoneAt: stamp(c.DoneAt)}
		if !utf8.ValidString(c.Value) {
			j.Checkpoint.Bytes = []byte(c.Value)
		}
		j.Checkpoint.HandledTo, _ = feed.HandledUpTo(c.Value)
	}
	return j
}

var toneOfStream = map[scan.StreamState]tone{
	scan.StreamOwned: good, scan.StreamRead: warn, scan.StreamWaiting: warn, scan.StreamDelayed: warn, scan.StreamStranded: bad,
	scan.StreamDead: bad, scan.StreamDone: faint, scan.StreamUnknown: warn,
}

func storyFields(s *scan.Story, now time.Time) (f fields) {
	o := &s.Ownership
	f.add("stream", namedIn(o.Stream, 1000))
	f.add("state", toned{toneOfStream[s.State], string(s.State)})
	for n, line := range wrapped(visible(s.Why), 100) {
		f.add([]string{"why", ""}[min(n, 1)], line)
	}
	f.add("partition", o.Partition)
	if !s.Settling.IsZero() {
		f.add("settling", toned{warn, "nobody takes a stream there until " + moment(s.Settling, now)})
	}
	if o.Consumer == "" {
		f.add("owner", dash)
	} else {
		f.ownership(s, now)
	}
	f.waiting(s, now)
	f.checkpoint(s, now)
	for _, text := range s.Unread {
		f.add("not seen", toned{warn, text})
	}
	return f
}

// ownership is about the owner.
func (f *fields) ownership(s *scan.Story, now time.Time) {
	o := &s.Ownership
	f.add("owner", named(o.Consumer))
	state := string(o.Session.State)
	f.add("session", toned{toneOfState[state], state + ", ends " + relative(o.Session.Until, now)})
	if p := s.Owner; p != nil {
		text := fmt.Sprintf("%s, weight %s, holds %s", p.State, decimal(p.Weight), number(p.Held))
		if !p.Over.IsZero() {
			text += ", holds too much since " + relative(p.Over, now)
		}
		if w := wishText(p.Wishes); w != "" {
			text += "; wished: " + w
		}
		f.add("process", toned{toneOfBalance[p.State], text})
	} else {
		f.add("process", "says nothing of itself")
	}
	f.add("token", tokenText(o.Token))
	f.add("owned since", moment(o.Since, now))
	f.add("lease ends", moment(o.Until, now)+" unless it is renewed")
	f.add("owned for", o.Entry+failures(o.Retries, o.Crashes))
	if o.Waiting != "" {
		f.add("waits behind", o.Waiting)
	}
}

// waiting is about announcements, delayed ones and dead letters.
func (f *fields) waiting(s *scan.Story, now time.Time) {
	label := "announced"
	for _, e := range s.Entries {
		text := e.ID + ", " + relative(e.Announced, now) + failures(e.Retries, e.Crashes)
		switch {
		case e.Stranded:
			text += ": stranded, nobody gets it"
		case e.Consumer == "":
			text += ": waits, no consumer was given it yet"
		case e.Consumer == s.Ownership.Consumer && e.ID == s.Ownership.Entry:
			text += ": owned"
		default:
			text += ": pending for " + named(e.Consumer) + " for " + span(e.Idle)
		}
		f.add(label, text)
		label = ""
	}
	if len(s.Entries) == 0 {
		f.add(label, dash)
	}
	if s.Ahead >= 0 {
		f.add("ahead of it", counted(s.Ahead, "announcement"))
	}
	label = "delayed"
	for _, d := range s.Delayed {
		f.add(label, "until "+moment(d.Due, now)+", ID "+d.ID+failures(d.Retries, d.Crashes))
		label = ""
	}
	label = "dead letter"
	for _, l := range s.Letters {
		f.add(label, toned{bad, relative(l.At, now) + ", ID " + l.ID + ": " + shortened(oneLine(l.Reason), 200)})
		label = ""
	}
}

// checkpoint is about how far its owners have come.
func (f *fields) checkpoint(s *scan.Story, now time.Time) {
	c := s.Checkpoint
	if c == nil {
		f.add("checkpoint", dash)
		return
	}
	if id, ok := feed.HandledUpTo(c.Value); ok {
		f.add("handled up to", positionText(id, now)+" (a feed's position)")
	} else {
		f.add("checkpoint", shortened(c.Value, 200))
	}
	f.add("stored under", "token "+tokenText(c.Token))
	if !c.DoneAt.IsZero() {
		f.add("done", moment(c.DoneAt, now))
	}
}

// failures says how often something has failed.
func failures(retries, crashes int) string {
	var parts []string
	if retries > 0 {
		parts = append(parts, counted(retries, "failure"))
	}
	if crashes > 0 {
		parts = append(parts, counted(crashes, "crash"))
	}
	if parts == nil {
		return ""
	}
	return " after " + strings.Join(parts, " and ")
}

// wrapped breaks a text between words into lines of at most so many bytes.
func wrapped(text string, most int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > most {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
