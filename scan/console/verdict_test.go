package console

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

// What is wrong is said in words, the worst first; what is as usual is not mentioned.
func TestVerdict(t *testing.T) {
	t.Parallel()
	now := time.Now()
	alive := scan.Consumer{Name: "a.AAAA", Session: scan.Session{State: scan.SessionAlive, Until: now.Add(time.Minute)}}
	for name, c := range map[string]struct {
		change func(s *sample)
		level  level
		text   string
	}{
		"well":          {func(*sample) {}, note, ""},
		"busy":          {func(s *sample) { s.Backlog[0].Lag, s.Backlog[0].OldestWaiting = 9, time.Second }, note, ""},
		"waiting":       {func(s *sample) { s.Backlog[0].Lag, s.Backlog[0].OldestWaiting = 9, 20*time.Second }, warn, "9 announcements wait to be read, the oldest for 20 s."},
		"waiting long":  {func(s *sample) { s.Backlog[0].Lag, s.Backlog[0].OldestWaiting = 1, 2*time.Minute }, bad, "1 announcement waits to be read, the oldest for 2 min."},
		"nobody":        {func(s *sample) { s.Consumers, s.Backlog[0].Length = nil, 7 }, bad, "No process is alive. 7 announcements are in the input streams, 0 delayed."},
		"nobody, empty": {func(s *sample) { s.Consumers = nil }, note, "No process is alive. Nothing waits for one."},
		"dead": {func(s *sample) {
			s.Consumers = append(s.Consumers, scan.Consumer{Name: "b.BBBB", Pending: 5, Session: scan.Session{State: scan.SessionDead, Until: now.Add(-2 * time.Second)}})
		}, warn, "1 process died and is not recovered yet; 5 announcements pending for it."},
		"dead for long": {func(s *sample) {
			s.Consumers = append(s.Consumers, scan.Consumer{Name: "b.BBBB", Pending: 5, Session: scan.Session{State: scan.SessionDead, Until: now.Add(-2 * time.Minute)}})
		}, bad, "1 process died and is not recovered yet; 5 announcements pending for it, the longest for 2 min."},
		"letters": {func(s *sample) { s.Backlog[0].DeadLetters = 2 }, warn, "2 dead letters: their streams were given up on."},
		"more":    {func(s *sample) { s.Backlog[0].DeadLetters, s.NewLetters, s.WatchedSince = 2, 1, s.At.Add(-time.Minute) }, bad, "2 dead letters: their streams were given up on. 1 came in the last 1 min."},
		"settling": {func(s *sample) {
			s.Settling = map[int]time.Time{0: now.Add(5500 * time.Millisecond), 1: now.Add(-time.Hour)}
		}, note, "1 partition settles after a change of server, for 5."},
		"frozen": {func(s *sample) {
			s.Balance.FrozenUntil = now.Add(time.Hour)
			s.Wishes = []scan.Wish{{Kind: scan.WishFreeze, Reason: "ann: incident"}}
		}, note, "no stream is moved to even out shares. Reason: ann: incident"},
		"paused":       {func(s *sample) { s.Balance.Processes[0].State = scan.BalancePaused }, note, "1 process is paused: it takes no more streams"},
		"behind":       {func(s *sample) { s.Balance.Processes[0].State = scan.BalanceBehind }, warn, "1 process is behind"},
		"just over":    {func(s *sample) { s.Balance.Processes[0].Over = now.Add(-time.Minute) }, note, ""},
		"uneven":       {func(s *sample) { s.Balance.Processes[0].Over = now.Add(-10 * time.Minute) }, warn, "Shares are uneven: 1 process holds more than its share, the longest for 10 min"},
		"older":        {func(s *sample) { s.Balance.Older = 2 }, note, "2 processes are of an earlier version"},
		"stranded":     {func(s *sample) { s.Backlog[0].Stranded = 1 }, warn, "1 announcement is neither pending nor undelivered"},
		"trimmed":      {func(s *sample) { s.Backlog[0].WithoutBody = 3 }, warn, "3 announcements are pending without a body."},
		"partly":       {func(s *sample) { s.Err = context.DeadlineExceeded }, bad, "Not all could be read, so numbers may be too small"},
		"out of reach": {func(s *sample) { *s = sample{At: now, Taken: now, Err: errors.New("dial tcp: connection refused")} }, bad, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sample{At: now, Taken: now, Known: true, Balance: scan.Balance{Processes: []scan.Process{process("a.AAAA", 10)}},
				Backlog: []scan.Backlog{{}}, Consumers: []scan.Consumer{alive}}
			c.change(s)
			found := verdict(s)
			if c.text == "" {
				require.Empty(t, found)
				return
			}
			require.NotEmpty(t, found)
			require.Contains(t, found[0].Text, c.text)
			require.Equal(t, c.level, found[0].Level)
			require.NotEmpty(t, found[0].Page)
		})
	}
	s := &sample{At: now, Taken: now, Known: true, Backlog: []scan.Backlog{{DeadLetters: 1, Length: 1}}, Balance: scan.Balance{Older: 1}}
	var levels []level
	for _, p := range verdict(s) {
		levels = append(levels, p.Level)
	}
	require.Equal(t, []level{bad, warn, note}, levels)
}
