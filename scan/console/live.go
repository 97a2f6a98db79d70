package console

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// mostViewers is how many live pages there may be at once. Beyond that, pages work, and do not follow the fleet.
	mostViewers = 200
	// heartbeat is how often a live page hears something: proxies close what is quiet, and a connection that is lost shows.
	heartbeat = 15 * time.Second
	// slowest is how long a viewer may take to take in an update.
	slowest = 10 * time.Second
)

// followings are the pages that follow the fleet, by the name of their live updates.
func followings() map[string]*following {
	return map[string]*following{
		"status": {template: "error"}, "overview": &overviewLive, "fleet": &fleetLive, "partitions": &partitionsLive, "maintenance": &maintenanceLive,
	}
}

// serveLive sends the parts of a page that have changed, as server-sent events, until the viewer leaves, is too slow, or the console is
// closed. The first line of an event is the id of an element, the rest is its new content.
func serveLive(s *site, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, ok := followings()[q.Get("view")]
	if !ok {
		s.fail(w, r, badRequest("There is no such live page."))
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	watcher, leave, ok := s.sampler.watch(mostViewers)
	if !ok {
		w.Header().Set("Retry-After", "30")
		s.fail(w, r, &refusal{http.StatusServiceUnavailable,
			fmt.Sprintf("%d pages follow the fleet already, which is the most. Load the page again to see what is new.", mostViewers)})
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would wait for more
	l := &liveLine{w: w, control: http.NewResponseController(w), sent: make(map[string]string)}
	if l.write([]byte("retry: 3000\n\n")) != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	found, err := s.sampler.current(r.Context())
	for err == nil {
		if found != nil {
			err = l.update(s, f, q, found)
			found = nil
			continue
		}
		select {
		case found = <-watcher.news:
		case <-beat.C:
			err = l.write([]byte("event: beat\ndata:\n\n"))
		case <-r.Context().Done():
			return
		case <-s.ended.Done():
			return
		}
	}
}

// liveLine is the connection of one live page.
type liveLine struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sent    map[string]string // what each part was last
}

// update sends the parts that differ from what was sent last.
func (l *liveLine) update(s *site, f *following, q url.Values, found *sample) error {
	parts, err := found.rendered(f.template+" "+q.Get("from"), func() (map[string]string, error) { return f.render(s, q, found) })
	if err != nil {
		return err
	}
	var event bytes.Buffer
	for _, id := range slices.Concat(common, f.parts) {
		text := parts[id]
		if text == l.sent[id] {
			continue
		}
		l.sent[id] = text
		event.WriteString("event: part\ndata: " + id + "\n")
		for line := range strings.Lines(text) {
			event.WriteString("data: " + strings.TrimSuffix(line, "\n") + "\n")
		}
		event.WriteString("\n")
	}
	if event.Len() == 0 {
		return nil
	}
	return l.write(event.Bytes())
}

// write sends something, unless the viewer is too slow.
func (l *liveLine) write(text []byte) error {
	_ = l.control.SetWriteDeadline(time.Now().Add(slowest)) // where the server knows none, it may wait for its own
	if _, err := l.w.Write(text); err != nil {
		return err
	}
	return l.control.Flush()
}
