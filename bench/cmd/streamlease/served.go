package main

import (
	"context"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/scheduleview"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/scan/console"
)

// servedPages are the pages of services, each at /NAME/, with a list of them at /. It is an http.Handler.
type servedPages struct {
	names []string
	at    map[string]*console.Console
	log   *slog.Logger
	local bool // only for browsers of this host, by its own names
}

func (p *servedPages) close() {
	for _, page := range p.at {
		page.Close()
	}
}

func (p *servedPages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A site elsewhere may give its own name the address of this host, and then read and act as a page of its own would.
	if p.local && !isLoopback(hostOf(r.Host)) {
		http.Error(w, "This page is for browsers on this host: ask for localhost or 127.0.0.1. Behind a proxy, use -user-header.", http.StatusMisdirectedRequest)
		return
	}
	first, rest, below := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	name, err := url.PathUnescape(first)
	page, ok := p.at[name]
	switch {
	case name == "" && !below && err == nil:
		p.index(w, r)
		return
	case !ok || err != nil:
		http.Error(w, "There is no such service here.", http.StatusNotFound)
		return
	}
	path := "" // the console sends browsers to the path with a slash
	if below {
		path = "/" + rest
	}
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath = path, ""
	page.ServeHTTP(w, inner)
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

var servedIndex = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Services · streamlease</title><link rel="icon" href="data:,"></head>
<body><h1>Services</h1><ul>{{range .}}<li><a href="./{{.}}/">{{.}}</a></li>{{end}}</ul></body></html>
`))

// index lists the services. Where there is one, it is that.
func (p *servedPages) index(w http.ResponseWriter, r *http.Request) {
	if len(p.names) == 1 {
		w.Header().Set("Location", "./"+url.PathEscape(p.names[0])+"/")
		w.WriteHeader(http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodHead {
		_ = servedIndex.Execute(w, p.names)
	}
}

// servedSchedules are the schedules of a service that may come into being, or get another number of partitions, while they are served.
type servedSchedules struct {
	client  rueidis.Client
	service string
	config  scan.InspectorConfig
	log     *slog.Logger
}

func (s *servedSchedules) view(ctx context.Context) (console.Schedules, error) {
	inspector, err := scan.NewInspector(s.client, s.service, s.config) // one that is kept keeps their number
	if err != nil {
		return nil, err
	}
	n, err := inspector.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	table, err := schedule.NewTable(s.client, s.service, engine.WithPartitions(n), engine.WithLogger(s.log))
	if err != nil {
		return nil, err
	}
	return scheduleview.New(table), nil
}

func (s *servedSchedules) Page(ctx context.Context, cursor string, count int) ([]console.Schedule, string, error) {
	v, err := s.view(ctx)
	if err != nil {
		return nil, "", err
	}
	return v.Page(ctx, cursor, count)
}

func (s *servedSchedules) Get(ctx context.Context, name string) (console.Schedule, error) {
	v, err := s.view(ctx)
	if err != nil {
		return console.Schedule{}, err
	}
	return v.Get(ctx, name)
}
