package console

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/scan"
)

// Console is the page of the operators of a service, an http.Handler.
//
// It works at any path that ends with a slash, with or without http.StripPrefix in front of it: all of its links are relative.
// It is safe for concurrent use.
type Console struct {
	site   *site
	routes map[string]route
}

// New returns the console of a service, on a client that stays the caller's. It sends nothing yet, and starts nothing until somebody
// watches. If the client is nil, or the name or an option is out of range, each page says so.
//
// Close the console before the client, and tell an http.Server to close it when it shuts down, since pages that follow the fleet
// keep their connections open:
//
//	server.RegisterOnShutdown(c.Close)
func New(client rueidis.Client, service string, opts ...Option) *Console {
	s := &site{service: service, client: client, cross: http.NewCrossOriginProtection()}
	for _, opt := range opts {
		if opt.set != nil {
			opt.set(&s.set)
		}
	}
	if s.set.interval == 0 {
		s.set.interval = DefaultInterval
	}
	if s.set.log == nil {
		s.set.log = slog.Default()
	}
	if _, s.err = scan.NewInspector(client, service, s.set.inspector); s.err == nil {
		if i := s.set.interval; i < MinInterval || i > MaxInterval {
			s.err = fmt.Errorf("%w: WithInterval is %v, must be from %v to %v; leave it out for %v", api.ErrInvalidConfig, i, MinInterval, MaxInterval, DefaultInterval)
		}
	}
	s.ended, s.end = context.WithCancel(context.Background())
	s.sampler = newSampler(s.set.interval, (&source{client: client, service: service, set: s.set.inspector}).read)
	return &Console{site: s, routes: routes()}
}

// Close ends the sampler, and the connections of pages that follow the fleet, and waits for the sampler. It may be called several times,
// and from several goroutines. The client stays open. Afterwards each page says that the console is closed.
func (c *Console) Close() {
	c.site.end()
	c.site.sampler.stop()
}

// route is what is behind a name: a page, or something else that writes its answer by itself.
type route struct {
	page  func(s *site, r *http.Request) (*view, error)
	serve func(s *site, w http.ResponseWriter, r *http.Request)
	post  bool // for POST rather than for GET and HEAD
}

func routes() map[string]route {
	return map[string]route{
		"":            {page: overviewPage},
		"fleet":       {page: fleetPage},
		"process":     {page: processPage},
		"moves":       {page: movesPage},
		"stream":      {page: streamPage},
		"delayed":     {page: delayedPage},
		"letters":     {page: lettersPage},
		"letter":      {page: letterPage},
		"schedules":   {page: schedulesPage},
		"schedule":    {page: schedulePage},
		"partitions":  {page: partitionsPage},
		"maintenance": {page: maintenancePage},
		"live":        {serve: serveLive},
		"act":         {page: actPage, post: true},
	}
}

// ServeHTTP answers a request for one of the pages, or for what they need.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	name, ok := pageName(r)
	if !ok {
		toDirectory(c.site, w, r)
		return
	}
	if serveAsset(w, r, name) {
		return
	}
	found, ok := c.routes[name]
	if !ok {
		c.site.fail(w, r, &refusal{http.StatusNotFound, "There is no such page."})
		return
	}
	if err := allowed(r, found.post); err != nil {
		if found.post {
			w.Header().Set("Allow", "POST")
		} else {
			w.Header().Set("Allow", "GET, HEAD")
		}
		c.site.fail(w, r, err)
		return
	}
	if c.site.err != nil {
		c.site.fail(w, r, c.site.err)
		return
	}
	if found.serve != nil {
		found.serve(c.site, w, r)
		return
	}
	v, err := found.page(c.site, r)
	if err != nil {
		c.site.fail(w, r, err)
		return
	}
	c.site.show(w, r, v)
}

// toDirectory sends a browser from a path without a slash at its end to the same with one.
func toDirectory(s *site, w http.ResponseWriter, r *http.Request) {
	path := requestPath(r)
	last := path[strings.LastIndexByte(path, '/')+1:]
	if last == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.fail(w, r, &refusal{http.StatusNotFound, "There is no such page."})
		return
	}
	w.Header().Set("Location", "./"+last+"/")
	w.WriteHeader(http.StatusPermanentRedirect)
}
