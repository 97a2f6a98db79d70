package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	networkWindow = 10 * time.Second
	networkEvery  = time.Second
	// fewMonitors say nothing about a network.
	fewMonitors = 5
)

// network finds out whether it is this process that is offline: more than half of its monitors failed within 10 s, and those of the other
// processes did not, or it cannot ask them. Processes tell each other once a second, by a short Redis stream.
type network struct {
	client rueidis.Client
	key    string
	self   string
	log    *slog.Logger

	offline atomic.Bool

	mu      sync.Mutex
	results map[string]result // by monitor
}

type result struct {
	at     time.Time
	failed bool
}

// tally is how many monitors were checked within 10 s, and how many of them failed.
type tally struct{ checked, failed int }

func (t tally) failing() bool { return t.failed*2 > t.checked }

func newNetwork(client rueidis.Client, key, self string, log *slog.Logger) *network {
	return &network{client: client, key: key, self: self, log: log, results: make(map[string]result)}
}

// note takes the result of a check.
func (n *network) note(monitor string, failed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.results[monitor] = result{time.Now(), failed}
}

// tally forgets what is older than the window.
func (n *network) tally() (t tally) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for monitor, r := range n.results {
		switch {
		case time.Since(r.at) > networkWindow:
			delete(n.results, monitor)
			continue
		case r.failed:
			t.failed++
		}
		t.checked++
	}
	return t
}

// run compares with the others until ctx ends.
func (n *network) run(ctx context.Context) {
	tick := time.NewTicker(networkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.compare(ctx)
		}
	}
}

// compare decides whether this process is offline.
func (n *network) compare(ctx context.Context) {
	mine := n.tally()
	others, err := n.exchange(ctx, mine)
	offline := mine.checked >= fewMonitors && mine.failing() && (err != nil || others.checked > 0 && !others.failing())
	if n.offline.Swap(offline) != offline {
		n.log.Warn("own network", "offline", offline, "checked", mine.checked, "failed", mine.failed, "error", err)
	}
}

// exchange tells the others, and returns what they told within the window. IDs of the stream are times of the server, so clocks of
// processes need not agree.
func (n *network) exchange(ctx context.Context, mine tally) (others tally, err error) {
	ctx, cancel := context.WithTimeout(ctx, networkEvery)
	defer cancel()
	add := n.client.B().Xadd().Key(n.key).Maxlen().Almost().Threshold("1000").Id("*").
		FieldValue().FieldValue(n.self, fmt.Sprint(mine.checked, " ", mine.failed)).Build()
	id, err := n.client.Do(ctx, add).ToString()
	if err != nil {
		return others, err
	}
	millis, _, _ := strings.Cut(id, "-")
	now, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return others, err
	}
	from := strconv.FormatInt(now-networkWindow.Milliseconds(), 10)
	entries, err := n.client.Do(ctx, n.client.B().Xrange().Key(n.key).Start(from).End("+").Build()).AsXRange()
	if err != nil {
		return others, err
	}
	latest := make(map[string]tally)
	for _, e := range entries {
		for process, text := range e.FieldValues {
			var t tally
			if _, err := fmt.Sscan(text, &t.checked, &t.failed); err == nil && process != n.self {
				latest[process] = t
			}
		}
	}
	for _, t := range latest {
		others.checked += t.checked
		others.failed += t.failed
	}
	return others, nil
}
