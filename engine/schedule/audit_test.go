package schedule

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/engine/internal/metrics"
	"github.com/streamlease/streamlease/engine/internal/sumlog"
	"github.com/streamlease/streamlease/engine/schedule/internal/record"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/virtual"
)

// auditWorld is a table in memory, of two partitions, with an auditor in virtual time. Only the bubble's goroutines use it while nothing
// moves.
type auditWorld struct {
	*auditor
	t       *testing.T
	rows    [2]map[string]string
	owned   map[string]string
	unread  bool
	live    int64
	fails   map[string]error // by method
	requeue map[string]error
	dlq     [2][]scan.DeadLetter
	did     []string
	pages   []time.Duration // since the start
	began   time.Time
}

func inAudit(t *testing.T, f func(w *auditWorld)) {
	virtual.Test(t, func(t *testing.T) {
		w := &auditWorld{t: t, owned: map[string]string{}, live: 1, fails: map[string]error{}, requeue: map[string]error{}, began: time.Now()}
		w.rows = [2]map[string]string{{}, {}}
		w.auditor = newAuditor(auditParams{
			store: w, partitions: 2, log: sumlog.New(slog.New(slog.DiscardHandler)), count: func(metrics.ScheduleAudit) {}, random: func() float64 { return 0 },
			requeue: func(_ context.Context, name string) error {
				w.did = append(w.did, "requeue "+name)
				if err, ok := w.requeue[name]; ok {
					return err
				}
				return api.ErrNotAnnounced
			},
			letters: func(_ context.Context, p int) iter.Seq2[scan.DeadLetter, error] {
				return func(yield func(scan.DeadLetter, error) bool) {
					if err := w.fails["letters"]; err != nil {
						yield(scan.DeadLetter{}, err)
						return
					}
					for _, l := range w.dlq[p] {
						if !yield(l, nil) {
							return
						}
					}
				}
			},
		})
		f(w)
	})
}

func (w *auditWorld) Rows(_ context.Context, p int, names []string) (rows []string, err error) {
	for _, name := range names {
		rows = append(rows, w.rows[p][name])
	}
	return rows, w.fails["rows"]
}

func (w *auditWorld) auditPage(_ context.Context, p int, _ string) (page rowPage, err error) {
	w.pages = append(w.pages, time.Since(w.began))
	page = rowPage{all: int64(len(w.rows[p])), live: w.live, next: "0"}
	for name, row := range w.rows[p] {
		page.names, page.rows = append(page.names, name), append(page.rows, row)
	}
	return page, w.fails["page"]
}

func (w *auditWorld) owners(_ context.Context, _ int, names []string) (all []string, err error) {
	for _, name := range names {
		all = append(all, w.owned[name])
	}
	return all, w.fails["owners"]
}

func (w *auditWorld) mark(_ context.Context, p int, dead bool, names []string, _ []int64) error {
	slices.Sort(names)
	w.did = append(w.did, fmt.Sprintf("mark %v %v", dead, strings.Join(names, " ")))
	for _, name := range names {
		r, err := record.ParseRow(w.rows[p][name])
		require.NoError(w.t, err)
		r.Dead = dead
		w.rows[p][name] = r.Encode()
	}
	return w.fails["mark"]
}

func (w *auditWorld) revive(_ context.Context, _ int, name string, _ int64) (revived, error) {
	if w.unread {
		w.did = append(w.did, "unread "+name)
		return revivedWaits, nil
	}
	w.did = append(w.did, "revive "+name)
	w.owned[name] = "somebody"
	return revivedAnnounced, w.fails["revive"]
}

// put adds schedules to partition 0, with a revision of now.
func (w *auditWorld) put(dead bool, names ...string) {
	for _, name := range names {
		r := record.Row{Rev: time.Now().UnixMicro(), Born: time.Now().UnixMilli(), Since: 1, Dead: dead, Definition: record.Definition{Every: 1000}}
		w.rows[0][name] = r.Encode()
	}
}

// does runs the auditor for a while, and compares what it did.
func (w *auditWorld) does(d time.Duration, lines ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	w.run(ctx)
	slices.Sort(w.did)
	require.Equal(w.t, append([]string(nil), lines...), w.did)
	w.did = nil
}

func TestAuditAnnouncesWhatNobodyOwns(t *testing.T) {
	inAudit(t, func(w *auditWorld) {
		w.put(false, "a", "b", "bad")
		w.rows[0]["bad"] = "x"
		w.owned["b"] = "bob.1 1 1-1"
		w.does(9 * time.Minute)
		w.does(30*time.Minute, "requeue a", "revive a")
	})
}

func TestAuditLeavesAloneWhatFindsAnOwnerInTime(t *testing.T) {
	inAudit(t, func(w *auditWorld) {
		w.put(false, "a", "deleted", "again")
		w.does(9 * time.Minute)
		w.owned["a"] = "bob.1 1 1-1"
		delete(w.rows[0], "deleted")
		w.put(false, "again") // another incarnation, that has ten minutes of its own
		w.does(9 * time.Minute)
		w.does(20*time.Minute, "requeue again", "revive again")
		require.Empty(t, w.suspects)
	})
}

func TestAuditOfWhatIsAnnounced(t *testing.T) {
	for name, err := range map[string]error{"it was requeued": nil, "somebody was faster": scan.ErrRequeued, "it is delayed": &scan.DelayedError{},
		"it is owned": api.ErrHeldElsewhere} {
		t.Run(name, func(t *testing.T) {
			inAudit(t, func(w *auditWorld) {
				w.put(false, "a")
				w.requeue["a"] = err
				w.does(15*time.Minute, "requeue a")
				require.Empty(t, w.suspects)
			})
		})
	}
}

// What cannot be decided is looked for again, each minute.
func TestAuditOfWhatCannotBeDecided(t *testing.T) {
	for _, err := range []error{scan.ErrUndecided, api.ErrNotReady, errors.New("no connection")} {
		inAudit(t, func(w *auditWorld) {
			w.put(false, "a")
			w.requeue["a"] = err
			w.does(12*time.Minute+30*time.Second, "requeue a", "requeue a", "requeue a")
			delete(w.requeue, "a")
			w.unread = true
			w.does(2*time.Minute, "requeue a", "requeue a", "unread a", "unread a")
			w.unread = false
			w.does(2*time.Minute, "requeue a", "revive a")
		})
	}
}

func TestAuditMarksDeadLetters(t *testing.T) {
	inAudit(t, func(w *auditWorld) {
		w.dlq[0] = []scan.DeadLetter{{Stream: "old", At: time.Now().Add(-time.Hour)}, {Stream: "a"}}
		w.put(false, "a", "old", "poison")
		w.requeue["poison"] = scan.ErrDeadLetter
		w.does(15*time.Minute, "mark true a poison", "requeue a", "requeue old", "requeue poison", "revive old")
		w.does(time.Hour)
		w.owned["a"] = "bob.1 1 1-1" // somebody has sent it back
		w.does(20*time.Minute, "mark false a")
	})
}

// Whatever fails is repeated, and one partition that fails does not keep the other from being looked at.
func TestAuditGoesOnAfterFailures(t *testing.T) {
	for _, method := range []string{"page", "owners", "rows", "letters"} {
		inAudit(t, func(w *auditWorld) {
			w.put(false, "a")
			w.fails[method] = errors.New("no connection")
			w.does(30*time.Minute, slices.Repeat([]string{"requeue a"}, map[string]int{"letters": 20}[method])...)
			delete(w.fails, method)
			w.does(30*time.Minute, "requeue a", "revive a")
		})
	}
	inAudit(t, func(w *auditWorld) {
		w.put(false, "a")
		w.dlq[0] = []scan.DeadLetter{{Stream: "a"}}
		w.fails["mark"] = errors.New("no connection")
		w.does(15*time.Minute, "mark true a", "requeue a")
	})
}

// The fleet reads the table once in ten minutes, whatever its size, but no page more often than each 100 ms. Few suspects are remembered, and few
// are looked for at once.
func TestPaceOfTheAudit(t *testing.T) {
	inAudit(t, func(w *auditWorld) {
		for n := range 4000 {
			w.put(false, fmt.Sprint("s", n))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		w.run(ctx)
		require.Len(t, w.suspects, maxSuspects)
		// 16 pages of partition 0 and one of partition 1, of which each call of this fake answers all.
		require.InDelta(t, 5*60/(600./17), len(w.pages), 3)
	})
	a := newAuditor(auditParams{partitions: 2, random: func() float64 { return 0 }})
	require.Equal(t, 5*time.Minute, a.interval(), "a page of each")
	a.live = 10
	require.Equal(t, 50*time.Minute, a.interval())
	a.sizes = []int64{100_000_000, 1}
	require.Equal(t, auditPause, a.interval())
	a.random = func() float64 { return 0.999 }
	a.sizes = []int64{2560, 0}
	require.InDelta(t, float64(10*auditRound/11)*0.9, float64(a.interval()), float64(time.Second))
}
