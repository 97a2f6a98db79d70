package pod

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/test/journal"
)

// endsAtOnce is how many calls of Done run at a time: the library sends them together.
const endsAtOnce = 64

// end calls Done for n streams at random that the worker holds.
func (w *worker) end(n int) (s Snapshot) {
	if w.journal == nil {
		return Snapshot{Error: "there is no journal"}
	}
	var leases []api.Lease
	for l := range w.engine.Leases() {
		leases = append(leases, l)
	}
	rand.Shuffle(len(leases), func(i, j int) { leases[i], leases[j] = leases[j], leases[i] })
	leases = leases[:min(n, len(leases))]
	next, ended := make(chan api.Lease), make(chan string, len(leases))
	var running sync.WaitGroup
	for range min(n, endsAtOnce) {
		running.Go(func() {
			for l := range next {
				if finish(l, w.journal.Page(l)) {
					ended <- l.Stream()
				}
			}
		})
	}
	for _, l := range leases {
		next <- l
	}
	close(next)
	running.Wait()
	close(ended)
	for stream := range ended {
		s.Ended = append(s.Ended, stream)
	}
	return s
}

// finish calls Done for a stream that is still owned, and reports whether it succeeded. The journal shows the end before anybody else can own
// the stream.
func finish(l api.Lease, page *journal.Page) bool {
	if page == nil || !page.Extend(l) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	page.Is(journal.Ending)
	state := outcome(l.Done(ctx))
	page.Is(state)
	return state == journal.Finished
}
