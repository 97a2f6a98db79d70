package console

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/scan"
)

// site is what every page needs.
type site struct {
	service string
	client  rueidis.Client
	set     settings
	sampler *sampler
	cross   *http.CrossOriginProtection
	ended   context.Context
	end     context.CancelFunc
	err     error // the options are wrong
}

// inspect returns an inspector for what one request does. One that was kept would go on with the number of partitions that the service
// had when it was first asked for.
func (s *site) inspect() *scan.Inspector {
	i, err := scan.NewInspector(s.client, s.service, s.set.inspector)
	if err != nil {
		panic(err) // New has made one like this, or each page says why not
	}
	return i
}

// view is a page that is to be shown.
type view struct {
	template string // file of templates, without its end
	title    string
	here     string // the page of the navigation that it belongs to
	status   int    // zero: 200
	follow   string // address of its live updates, which show more than the state of the service
	live     *following
	data     any // what its template shows
}

// frame is what a template gets.
type frame struct {
	Service  string
	Title    string
	Here     string
	Now      time.Time // by the server's clock
	Sample   *sample   // nil: there is none
	Problems []problem
	Follows  bool   // it follows the fleet
	Live     string // address of its updates
	Actions  bool   // somebody may act
	Data     any
}

func (s *site) frame(v *view, found *sample) *frame {
	f := &frame{
		Service: s.service, Title: v.title, Here: v.here, Now: time.Now(), Sample: found,
		Follows: v.follow != "", Live: v.follow, Actions: s.set.authorize != nil, Data: v.data,
	}
	if f.Live == "" {
		f.Live = link("live", "view", "status")
	}
	if found != nil {
		f.Now, f.Problems = found.now(), verdict(found)
	}
	return f
}

// show writes a page.
func (s *site) show(w http.ResponseWriter, r *http.Request, v *view) {
	found, err := s.sampler.current(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if v.live != nil && v.data == nil {
		v.data = v.live.dataOf(s, r.URL.Query(), found)
	}
	if v.status == 0 && v.follow != "" && !found.Known {
		v.status = statusOf(found.Err)
	}
	s.write(w, r, v, found)
}

// fail writes a page that says what went wrong, and what to do.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	what, do := explain(err)
	s.write(w, r, &view{template: "error", title: "That did not work", status: statusOf(err), data: map[string]string{"What": what, "Do": do}}, nil)
}

func (s *site) write(w http.ResponseWriter, r *http.Request, v *view, found *sample) {
	var text bytes.Buffer
	if err := pages()[v.template].ExecuteTemplate(&text, "layout", s.frame(v, found)); err != nil {
		// A mistake of this package, that no test has found.
		http.Error(w, "The page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.status != 0 {
		w.WriteHeader(v.status)
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(text.Bytes())
	}
}

// bounded is the context of one request's calls: it ends with the request and at Close.
func (s *site) bounded(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(s.ended, cancel)
	return ctx, func() { stop(); cancel() }
}
