package fired

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
)

func at(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// tick is one that was fired on time, by the first spec.
func tick(second float64, token api.Token) Note { return late(second, second, token) }

// late is one that was fired at another time than its own.
func late(nominal, seconds float64, token api.Token) Note {
	return Note{Kind: Fired, Nominal: int64(nominal * 1000), Token: token, At: at(seconds), Late: at(seconds - nominal), Generation: 1}
}

func (n Note) missed(count uint32) Note { n.Missed = count; return n }
func (n Note) of(kind Kind, nominal float64) Note {
	n.Kind, n.Nominal = kind, int64(nominal*1000)
	return n
}
func (n Note) by(generation uint32) Note { n.Generation = generation; return n }

// audited checks one schedule with ticks from 1 to 5 s, which processes a and b fire.
func audited(a, b []Note, troubles []Trouble, changes ...Change) (f Findings) {
	x := Audit{Session: at(.5), Unsaved: at(1), Within: at(.3), Begin: at(.1), End: at(6), Troubles: troubles}
	x.Changes = [][]Change{append([]Change{{What: Create, Generation: 1, Until: at(.5), Grid: Grid{Every: 1000}}}, changes...)}
	x.Add("a", a)
	x.Add("b", b)
	f = x.Run()
	f.Named = nil
	return f
}

func TestAuditFindsEachFault(t *testing.T) {
	for name, c := range map[string]struct {
		a, b    []Note
		changes []Change
		want    Findings // faults
	}{
		"nothing is wrong":                  {a: []Note{tick(1, 5), tick(2, 5), tick(3, 5)}, b: []Note{tick(4, 6), tick(5, 6)}},
		"nobody fired one, and it was said": {a: []Note{tick(1, 5), tick(2, 5), tick(4, 5).missed(1), tick(5, 5)}, want: Findings{Lost: 1}},
		"nobody fired one, and nobody said": {a: []Note{tick(1, 5), tick(2, 5), tick(4, 5), tick(5, 5)}, want: Findings{Lost: 1, Silent: 1}},
		"nobody fired any":                  {want: Findings{Lost: 3}},
		"nobody fired the last":             {a: []Note{tick(1, 5), tick(2, 5), tick(3, 5)}, want: Findings{Lost: 1}},
		"a handler took long":               {a: []Note{tick(1, 5), tick(2, 5), tick(2, 5).of(Ended, 2).until(3.5), tick(4, 5).missed(1), tick(5, 5)}},
		"a late one had just begun":         {a: []Note{tick(1, 5), late(2, 2.9, 5), tick(4, 5).missed(1), tick(5, 5)}},
		"a late one had begun long before":  {a: []Note{tick(1, 5), late(2, 2.6, 5), tick(4, 5).missed(1), tick(5, 5)}, want: Findings{Lost: 1}},
		"off the grid, as the first may be": {a: []Note{tick(1, 5), tick(1.3, 5), tick(2, 5), tick(3, 5), tick(4, 5), tick(5, 5)}},
		"off the grid":                      {a: []Note{tick(1, 5), tick(1.3, 5), tick(1.6, 5), tick(2, 5), tick(3, 5), tick(4, 5), tick(5, 5)}, want: Findings{OffGrid: 1}},
		"of a spec that nobody put": {a: []Note{tick(1, 5), tick(2, 5), tick(3, 5), tick(3, 5).by(7), tick(4, 5), tick(5, 5)},
			want: Findings{OffGrid: 1, Disordered: 1}},
		"out of order":                 {a: []Note{tick(1, 5), late(3, 2, 5).missed(1), late(2, 3, 5), tick(4, 5), tick(5, 5)}, want: Findings{Disordered: 1}},
		"again":                        {a: []Note{tick(1, 5), tick(2, 5)}, b: []Note{late(2, 2.5, 6), tick(3, 6), tick(4, 6), tick(5, 6)}, want: Findings{Unexcused: 1}},
		"by an owner that is replaced": {a: []Note{tick(1, 5), tick(2, 5), tick(4, 5)}, b: []Note{tick(3, 6), tick(5, 6)}, want: Findings{Stale: 1}},
		"after the next one began": {a: []Note{tick(1, 5), tick(2, 5)},
			b: []Note{tick(1.5, 6).of(Opened, 1), tick(3, 6), tick(4, 6), tick(5, 6)}, want: Findings{Stale: 1}},
		"the state came along": {a: []Note{tick(1, 5), tick(2, 5), tick(2.1, 5).of(Failed, 2), tick(2.2, 5).of(Released, 0)},
			b: []Note{tick(2.5, 6).of(Opened, 1), tick(3, 6), tick(4, 6), tick(5, 6)}},
		"the state did not come along": {a: []Note{tick(1, 5), tick(2, 5), tick(2.2, 5).of(Released, 0)},
			b: []Note{tick(2.5, 6).of(Opened, 1), tick(3, 6), tick(4, 6), tick(5, 6)}, want: Findings{Forgotten: 1}},
		"edited": {a: []Note{tick(1, 5), tick(2, 5), tick(2.4, 5).of(Changed, 0).by(2), tick(4, 5).by(2)},
			changes: []Change{{Retime, 2, at(2.2), at(2.3), Grid{Every: 2000}}}},
		"edited, and fired as before": {a: []Note{tick(1, 5), tick(2, 5), tick(3, 5), tick(3, 5).of(Changed, 0).by(2), tick(4, 5).by(2)},
			changes: []Change{{Retime, 2, at(2.2), at(2.3), Grid{Every: 2000}}}, want: Findings{Obsolete: 1, Ignored: 1}},
		"other info": {a: []Note{tick(1, 5), tick(2, 5), tick(2.4, 5).of(Changed, 0).by(2), tick(3, 5).by(2), tick(4, 5).by(2), tick(5, 5).by(2)},
			changes: []Change{{Reword, 2, at(2.2), at(2.3), Grid{Every: 1000}}}},
		"other info, and one is lost": {a: []Note{tick(1, 5), tick(2, 5), tick(2.4, 5).of(Changed, 0).by(2), tick(4, 5).by(2), tick(5, 5).by(2)},
			changes: []Change{{Reword, 2, at(2.2), at(2.3), Grid{Every: 1000}}}, want: Findings{Lost: 1, Silent: 1}},
		"deleted": {a: []Note{tick(1, 5), tick(2, 5), tick(3.3, 5).of(Deleted, 0)}, changes: []Change{{Remove, 2, at(3.1), at(3.2), Grid{}}}},
		"deleted, and fired": {a: []Note{tick(1, 5), tick(2, 5), tick(3, 5), tick(4, 5)},
			changes: []Change{{Remove, 2, at(3.1), at(3.2), Grid{}}}, want: Findings{Obsolete: 1, Ignored: 1}},
		"paused, and resumed": {a: []Note{tick(1, 5), tick(2, 5), tick(5, 5)},
			changes: []Change{{Pause, 1, at(2.5), at(2.6), Grid{Every: 1000}}, {Resume, 1, at(4.5), at(4.6), Grid{Every: 1000}}}},
		"paused, and fired": {a: []Note{tick(1, 5), tick(2, 5), tick(4, 5), tick(5, 5)},
			changes: []Change{{Pause, 1, at(2.5), at(2.6), Grid{Every: 1000}}, {Resume, 1, at(4.5), at(4.6), Grid{Every: 1000}}}, want: Findings{Obsolete: 1}},
		"edited while the owner stood still, and what it missed is said by the old spec": {
			a:       []Note{tick(1, 5), late(3, 3.7, 5).missed(1), tick(3.7, 5).of(Changed, 0).by(2), tick(4, 5).by(2)},
			changes: []Change{{Retime, 2, at(1.8), at(1.9), Grid{Every: 2000}}}, want: Findings{Lost: 1, Obsolete: 1, Ignored: 1}}, // nothing says that it stood still
		"resumed, and nothing is fired before the owner has to know": {a: []Note{tick(1, 5), tick(2, 5), tick(5, 5)},
			changes: []Change{{Pause, 1, at(2.5), at(2.6), Grid{Every: 1000}}, {Resume, 1, at(3.7), at(3.8), Grid{Every: 1000}}}},
		"edited, and fired by the old spec before that was known": {a: []Note{tick(1, 5), tick(2, 5), tick(2.2, 5).of(Changed, 0).by(2), tick(4, 5).by(2)},
			changes: []Change{{Retime, 2, at(1.8), at(1.9), Grid{Every: 2000}}}},
		"deleted and put while nobody owned it": {a: []Note{tick(1, 5), tick(2, 5), tick(2.3, 5).of(Released, 0)},
			b:       []Note{tick(2.7, 6).of(Opened, 0).by(3), tick(3, 6).by(3), tick(4, 6).by(3), tick(5, 6).by(3)},
			changes: []Change{{Remove, 2, at(2.4), at(2.5), Grid{}}, {Create, 3, at(2.5), at(2.6), Grid{Every: 1000}}}},
		"deleted right before it was handed back, and put": {a: []Note{tick(1, 5), tick(2, 5), tick(2.21, 5).of(Released, 0)},
			b:       []Note{tick(2.7, 6).of(Opened, 0).by(3), tick(3, 6).by(3), tick(4, 6).by(3), tick(5, 6).by(3)},
			changes: []Change{{Remove, 2, at(2.19), at(2.2), Grid{}}, {Create, 3, at(2.5), at(2.6), Grid{Every: 1000}}},
			want:    Findings{Ignored: 1}}, // its owner had no trouble that explains that
		"triggered": {a: []Note{tick(1, 5), tick(2, 5), tick(2.7, 5).of(Manual, 2.6), tick(3, 5), tick(4, 5), tick(5, 5)},
			changes: []Change{{Trigger, 1, at(2.5), at(2.6), Grid{Every: 1000}}}},
		"triggered in vain": {a: []Note{tick(1, 5), tick(2, 5), tick(3, 5), tick(4, 5), tick(5, 5)},
			changes: []Change{{Trigger, 1, at(2.5), at(2.6), Grid{Every: 1000}}}, want: Findings{Ignored: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got := audited(c.a, c.b, nil, c.changes...)
			require.Equal(t, c.want, Findings{Lost: got.Lost, Silent: got.Silent, OffGrid: got.OffGrid, Disordered: got.Disordered, Stale: got.Stale,
				Unexcused: got.Unexcused, Obsolete: got.Obsolete, Ignored: got.Ignored, Forgotten: got.Forgotten})
			require.Equal(t, c.want.Faults(), got.Faults())
		})
	}
}

func (n Note) until(seconds float64) Note { n.At = at(seconds); return n }

func TestAuditExcusesOnlyWhatATroubleExplains(t *testing.T) {
	elsewhere := func(int) bool { return false }
	for name, c := range map[string]struct {
		trouble Trouble
		excused bool
	}{
		"nothing happened":          {Trouble{Process: "a", From: at(20), Until: at(21)}, false},
		"it was killed":             {Trouble{Process: "a", From: at(2.2), Until: at(2.3)}, true},
		"another was killed":        {Trouble{Process: "c", From: at(2.2), Until: at(2.3)}, false},
		"it was drained":            {Trouble{Process: "a", From: at(2.2), Until: at(2.3), Quiet: true}, false},
		"the server was killed":     {Trouble{From: at(2.2), Until: at(2.3)}, true},
		"another server was killed": {Trouble{From: at(2.2), Until: at(2.3), Hits: elsewhere}, false},
		"the server handed over":    {Trouble{From: at(2.2), Until: at(2.3), Quiet: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := audited([]Note{tick(1, 5), tick(2, 5)}, []Note{late(2, 4, 6), tick(4, 6).missed(1), tick(5, 6)}, []Trouble{c.trouble})
			if c.excused {
				require.Zero(t, got.Faults())
				require.Equal(t, 1, got.Repeated)
				require.Equal(t, 1, got.Skipped)
				require.Equal(t, 1, got.MostOfOne)
				return
			}
			require.Equal(t, 2, got.Faults())
			require.Equal(t, 1, got.Unexcused)
			require.Equal(t, 1, got.Lost)
		})
	}
}

// TestWhoMayHaveHadASchedule after its owner died: anybody, until it is fired again.
func TestWhoMayHaveHadASchedule(t *testing.T) {
	killed := Trouble{Process: "a", From: at(2.2), Until: at(2.3)}
	another := Trouble{Process: "c", From: at(14), Until: at(15)}
	lost := func(deferred time.Duration, troubles ...Trouble) int {
		x := Audit{Session: at(.5), Unsaved: at(1), Within: at(.3), Begin: at(.1), End: at(25.5), Deferred: deferred, Troubles: troubles}
		x.Changes = [][]Change{{{What: Create, Generation: 1, Until: at(.5), Grid: Grid{Every: 1000}}}}
		x.Add("a", []Note{tick(1, 5), tick(2, 5)})
		x.Add("b", []Note{tick(24, 6).missed(21)})
		return x.Run().Lost
	}
	require.Equal(t, 21, lost(0))
	require.Equal(t, 21, lost(0, another))
	require.Equal(t, 10, lost(0, killed), "from 14 on")
	require.Zero(t, lost(0, killed, another))
	require.Zero(t, lost(at(11), killed))
}

// TestWhatIsHandedBackWaitsWhileOthersAreInTrouble, but not for the process that handed it back.
func TestWhatIsHandedBackWaitsWhileOthersAreInTrouble(t *testing.T) {
	a := []Note{tick(1, 5), tick(2, 5), tick(2.1, 5).of(Released, 0)}
	b := []Note{tick(3.3, 6).of(Opened, 2), tick(4, 6).missed(1), tick(5, 6)}
	quiet := func(process string, from float64) Trouble {
		return Trouble{Process: process, From: at(from), Until: at(from + .3), Quiet: true}
	}
	require.Equal(t, 1, audited(a, b, nil).Lost)
	require.Equal(t, 1, audited(a, b, []Trouble{quiet("a", 2.6)}).Lost)
	require.Equal(t, 1, audited(a, b, []Trouble{quiet("c", 1.2)}).Lost, "it was over long before")
	require.Zero(t, audited(a, b, []Trouble{quiet("c", 2.6)}).Lost)
	require.Zero(t, audited(a, b, []Trouble{quiet("", 2.6)}).Lost)
}

// TestAHandlerMayHaveRunUntilItsProcessDied, which is not noted.
func TestAHandlerMayHaveRunUntilItsProcessDied(t *testing.T) {
	a, b := []Note{tick(1, 5), tick(2, 5), tick(3, 5)}, []Note{tick(5, 6).missed(1)}
	killed := func(seconds float64) Trouble {
		return Trouble{Process: "a", From: at(seconds), Until: at(seconds + .1)}
	}
	lost := func(slow float64, killed Trouble) int {
		x := Audit{Session: at(.5), Slow: at(slow), Unsaved: at(1), Within: at(.3), Begin: at(.1), End: at(60), Troubles: []Trouble{killed}}
		x.Changes = [][]Change{{{What: Create, Generation: 1, Until: at(.5), Grid: Grid{Every: 1000}}, {Remove, 2, at(5.5), at(5.6), Grid{}}}}
		x.Add("a", append(a, tick(5.7, 6).of(Deleted, 0)))
		x.Add("b", b)
		return x.Run().Lost
	}
	require.Equal(t, 1, lost(1, killed(20)))
	require.Equal(t, 1, lost(1, killed(4.3)), "it was nobody's handler that took so long")
	require.Zero(t, lost(2, killed(4.3)))
}

// TestServersMayForgetAChange that they acknowledged right before they were killed, until it was made again.
func TestServersMayForgetAChange(t *testing.T) {
	notes := []Note{tick(1, 5), tick(2, 5), tick(3, 5), tick(4, 5), tick(5, 5)}
	gone := Change{Remove, 2, at(1.6), at(1.7), Grid{}}
	killed := Trouble{From: at(2), Until: at(2.1), Forgets: true}
	require.Zero(t, audited(notes, nil, []Trouble{killed}, gone).Faults())
	killed.Forgets = false
	killed.From, killed.Until = at(-12), at(-11)
	require.NotZero(t, audited(notes, nil, []Trouble{killed}, gone).Faults())
	x := Audit{Session: at(.5), Unsaved: at(1), Within: at(.3), Begin: at(.1), End: at(60), Troubles: []Trouble{{From: at(2), Until: at(2.1), Forgets: true}}}
	x.Changes = [][]Change{{{What: Create, Generation: 1, Until: at(.5), Grid: Grid{Every: 20_000}}, {Remove, 2, at(1.6), at(1.7), Grid{}}}}
	x.Repairs = []time.Duration{at(2.5)}
	x.Add("a", []Note{tick(20, 5), tick(40, 5)})
	require.Equal(t, 2, x.Run().Obsolete, "it was made again long ago")
}

// TestCheckpointsWaitWhileServersAreInTrouble, so a process that is killed then has fired more that comes again.
func TestCheckpointsWaitWhileServersAreInTrouble(t *testing.T) {
	a, b := []Note{tick(1, 5), tick(2, 5)}, []Note{late(1, 4.6, 6), tick(5, 6).missed(3)}
	killed := Trouble{Process: "a", From: at(4.4), Until: at(4.5)}
	moved := Trouble{From: at(1.5), Until: at(4.3), Quiet: true}
	require.Equal(t, 1, audited(a, b, []Trouble{killed}).Unexcused)
	require.Zero(t, audited(a, b, []Trouble{killed, moved}).Unexcused)
	moved.Harmless = true
	require.Equal(t, 1, audited(a, b, []Trouble{killed, moved}).Unexcused)
}

func TestChangesAreTimedWhereNothingStrikes(t *testing.T) {
	notes := []Note{tick(1, 5), tick(2, 5), tick(2.4, 5).of(Changed, 0).by(2), tick(3, 5).by(2), tick(4, 5).by(2), tick(5, 5).by(2)}
	edit := Change{Reword, 2, at(2.2), at(2.3), Grid{Every: 1000}}
	got := audited(notes, nil, nil, edit)
	require.Equal(t, at(.2), got.InForce[Reword].Max)
	require.Zero(t, got.Moved)
	got = audited(notes, nil, []Trouble{{Process: "a", From: at(2.3), Until: at(2.4), Quiet: true}}, edit)
	require.Empty(t, got.InForce)
	require.Equal(t, 1, got.Disturbed)
	notes[2].Token, notes[3].Token, notes[4].Token, notes[5].Token = 6, 6, 6, 6
	require.Equal(t, 1, audited(notes, nil, nil, edit).Moved)
}

func TestPointsOfAGrid(t *testing.T) {
	g := Grid{Every: 15, Phase: 4}
	var all []int64
	g.between(-26, 35, func(p int64) { all = append(all, p) })
	require.Equal(t, []int64{-11, 4, 19, 34}, all)
	for _, p := range all {
		require.True(t, g.has(p))
		require.False(t, g.has(p+1))
		require.Equal(t, p+15, g.next(p))
		require.Equal(t, p, g.next(p-1))
	}
	Grid{}.between(0, 10, func(int64) { t.Fatal("there is no grid") })
}

func TestNotesAreReadAsTheyAreWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	log, err := OpenLog(path)
	require.NoError(t, err)
	first := Note{Changed, 7, 1 << 41, 1 << 52, time.Hour, -time.Second, 3, 4}
	require.NoError(t, log.Note(first))
	require.NoError(t, log.Note(Note{Kind: Fired}))
	require.NoError(t, log.Close())
	all, err := Notes(path).More()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, first, all[0])
	require.Positive(t, all[1].At, "now")
}
