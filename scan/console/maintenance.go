package console

import (
	"errors"
	"net/http"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// maintenanceView is what the page shows besides what the sampler knows.
type maintenanceView struct {
	Operation string // that was begun and has not ended, in words; empty: none
	Stranded  []scan.Stranded
	More      bool // there are more than are shown
	Looked    bool // for stranded announcements
}

// mostStranded is how many stranded announcements are shown.
const mostStranded = 100

var maintenanceLive = following{template: "maintenance", parts: []string{"unread", "settling", "wishes"}}

// maintenancePage shows what operators wish, what settles, and what is under way. Stranded announcements are looked for on demand, since
// that reads the input streams.
func maintenancePage(s *site, r *http.Request) (*view, error) {
	v := &view{template: "maintenance", title: "Maintenance", here: "maintenance", follow: link("live", "view", "maintenance"), live: &maintenanceLive}
	m := &maintenanceView{}
	v.data = m
	found, err := s.sampler.current(r.Context())
	if err != nil {
		return nil, err
	}
	if errors.Is(found.Err, api.ErrServiceStopped) {
		m.Operation = visible(found.Err.Error())
	}
	if r.URL.Query().Get("look") != "stranded" || !found.Known {
		return v, nil
	}
	m.Looked = true
	ctx, done := s.bounded(r)
	defer done()
	for one, err := range s.inspect().Stranded(ctx, scan.Selection{}) {
		if err != nil {
			return nil, err
		}
		if len(m.Stranded) == mostStranded {
			m.More = true
			break
		}
		m.Stranded = append(m.Stranded, one)
	}
	return v, nil
}
