package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/scheduletest"
)

// scene is a monitor in virtual time: a site that answers with a status, a webhook, and what is reported.
type scene struct {
	*scheduletest.Schedule
	status  int
	refused int // alerts that the webhook refuses first
	away    bool

	mu      sync.Mutex // for the webhook, which serves in goroutines of its own
	alerts  []string   // keys
	reports []Report
	network *network
}

func newScene(t *testing.T, every time.Duration) *scene {
	t.Helper()
	s := &scene{status: http.StatusOK}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(s.status) }))
	t.Cleanup(site.Close)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.alerts = append(s.alerts, r.Header.Get("Idempotency-Key"))
		if s.refused--; s.refused >= 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(hook.Close)
	log := slog.New(slog.DiscardHandler)
	s.network = newNetwork(nil, "", "", log)
	w := &watcher{
		checker: newChecker(), network: s.network, alerter: &alerter{hook.URL, hook.Client(), log},
		reports: s, self: "test", log: log,
	}
	m := Monitor{Name: "shop", Target: site.URL, Every: Duration(every)}
	require.NoError(t, m.validate())
	var err error
	s.Schedule, err = scheduletest.New(schedule.Spec{Name: m.Name, Every: every, Info: m}, w.open, noon)
	require.NoError(t, err)
	return s
}

func (s *scene) add(_ context.Context, all []Report) error {
	if s.away {
		return errors.New("no connection")
	}
	s.reports = append(s.reports, all...)
	return nil
}

// The state goes from owner to owner, so an outage that one process has seen begin is reported by the next one, once.
func TestAnOutageOutlivesItsOwner(t *testing.T) {
	s := newScene(t, 20*time.Second)
	s.Run(time.Minute)
	s.status = http.StatusInternalServerError
	s.Run(40 * time.Second)
	s.HandBack()
	require.Empty(t, s.alerts)
	require.NoError(t, s.Own())
	s.Run(time.Hour)
	require.Len(t, s.alerts, 1)
	s.Kill()
	s.Run(11 * time.Second)
	require.NoError(t, s.Own())
	s.Run(time.Hour)
	require.Len(t, s.alerts, 1)
	s.status = http.StatusOK
	s.Run(time.Minute)
	require.Len(t, s.alerts, 2)
	require.Equal(t, Up, s.reports[len(s.reports)-1].State.Status)
	for _, r := range s.reports {
		require.Zero(t, r.Missed)
	}
}

// What was done in the second before a crash is done again: with the same key, so that who gets it can tell.
func TestACheckThatIsRepeatedSendsTheSameAlert(t *testing.T) {
	s := newScene(t, 2*time.Second)
	s.Run(20 * time.Second)
	s.status = http.StatusInternalServerError
	for len(s.alerts) == 0 {
		s.Run(100 * time.Millisecond)
	}
	s.Kill()
	require.NoError(t, s.Own())
	s.Run(time.Minute)
	require.Len(t, s.alerts, 2)
	require.Equal(t, s.alerts[0], s.alerts[1])
	again := slices.IndexFunc(s.reports, func(r Report) bool { return r.State.Status == Down })
	require.Equal(t, s.reports[again].At, s.reports[again+1].At, "the history takes one of them")
}

func TestAnAlertIsSentUntilTheWebhookTakesIt(t *testing.T) {
	s := newScene(t, 20*time.Second)
	s.Run(time.Minute)
	s.status, s.refused = http.StatusInternalServerError, 2
	s.Run(10 * time.Minute)
	require.Len(t, s.alerts, 3)
	require.Len(t, slices.Compact(slices.Clone(s.alerts)), 1)
}

func TestNobodyIsToldWhatAProcessSeesThatIsOffline(t *testing.T) {
	s := newScene(t, 20*time.Second)
	s.Run(time.Minute)
	s.network.offline.Store(true)
	s.status = http.StatusInternalServerError
	s.Run(time.Hour)
	require.True(t, s.reports[len(s.reports)-1].State.Unknown)
	s.network.offline.Store(false)
	s.Run(40 * time.Second)
	require.Empty(t, s.alerts)
	s.Run(20 * time.Second)
	require.Len(t, s.alerts, 1, "three failures since it is back")
}

// While Redis is away, and this process still owns the monitor, checks go on, and alerts are sent.
func TestReportsWaitForRedis(t *testing.T) {
	s := newScene(t, 20*time.Second)
	s.Run(time.Minute)
	before := len(s.reports)
	s.away, s.status = true, http.StatusInternalServerError
	s.Run(3 * time.Minute)
	require.Len(t, s.alerts, 1)
	require.Len(t, s.reports, before)
	s.away = false
	s.Run(20 * time.Second)
	require.Len(t, s.reports, before+10)
	for i, r := range s.reports[2:] {
		require.Equal(t, 20*time.Second, r.At.Sub(s.reports[i+1].At))
	}

	s.away = true
	s.Run(2 * time.Hour)
	s.away = false
	before = len(s.reports)
	s.Run(20 * time.Second)
	require.Len(t, s.reports, before+maxUnsent, "the oldest are dropped")
}

func TestAnEditTakesEffect(t *testing.T) {
	s := newScene(t, 20*time.Second)
	s.Run(time.Minute)
	spec := schedule.Spec{Name: "shop", Every: 10 * time.Second, Info: Monitor{Target: "tcp://127.0.0.1:1", Timeout: Duration(time.Second)}}
	require.NoError(t, s.Put(spec))
	s.Run(time.Minute)
	require.Equal(t, Down, s.reports[len(s.reports)-1].State.Status)
	require.Equal(t, 10*time.Second, s.reports[len(s.reports)-1].At.Sub(s.reports[len(s.reports)-2].At))

	spec.Info = "unreadable"
	require.NoError(t, s.Put(spec))
	s.Run(time.Minute)
	require.Equal(t, Down, s.reports[len(s.reports)-1].State.Status, "it goes on as before")
}
