package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/streamlease/streamlease/engine/schedule"
)

// policy lets the page load what this program serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

//go:embed page
var files embed.FS

var templates = template.Must(template.New("").Funcs(functions).ParseFS(files, "page/*.html"))

// table is what the page needs of a schedule.Table.
type table interface {
	Get(ctx context.Context, name string) (schedule.Status, error)
	Page(ctx context.Context, cursor string, count int) (page []schedule.Status, next string, err error)
	List(ctx context.Context, f schedule.Filter) iter.Seq2[schedule.Status, error]
}

// page shows monitors to browsers. It changes nothing.
type page struct {
	table    table
	history  *history
	overview *overviewer
	events   *events
	log      *slog.Logger
}

// view is what one browser looks at.
type view interface {
	// changed follows reports, and returns what to render again of them; a nil fragment is nothing.
	changed(ctx context.Context, batch []Report) *fragment
	// refreshed looks again at what no report tells.
	refreshed(ctx context.Context) *fragment
}

// fragment is HTML elements with IDs, which the browser puts in the place of those that it has.
type fragment struct {
	template string
	data     any
}

func (p *page) handler() http.Handler {
	static, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	list := func(ctx context.Context, q url.Values) view { return p.list(ctx, q) }
	monitor := func(ctx context.Context, q url.Values) view { return p.monitor(ctx, q) }
	mux := http.NewServeMux()
	mux.Handle("GET /page.css", http.FileServerFS(static))
	mux.Handle("GET /page.js", http.FileServerFS(static))
	mux.HandleFunc("GET /{$}", p.show("list.html", list))
	mux.HandleFunc("GET /events", p.follow(list))
	mux.HandleFunc("GET /monitor", p.show("monitor.html", monitor))
	mux.HandleFunc("GET /monitor/events", p.follow(monitor))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
}

// show serves a view as a whole page.
func (p *page) show(name string, look func(context.Context, url.Values) view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		html, err := render(&fragment{name, look(r.Context(), r.URL.Query())})
		if err != nil {
			p.log.Error("cannot render the page", "error", err)
			http.Error(w, "cannot render the page", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(html)
	}
}

// follow serves what changes in a view, as server-sent events, until the browser goes away.
func (p *page) follow(look func(context.Context, url.Values) view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reports, stop := p.events.listen()
		defer stop()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		refresh := time.NewTicker(overviewEvery)
		defer refresh.Stop()
		v := look(r.Context(), r.URL.Query())
		for next := v.refreshed(r.Context()); ; {
			if err := send(w, next); err != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-refresh.C:
				next = v.refreshed(r.Context())
			case batch, more := <-reports:
				if !more {
					return
				}
				next = v.changed(r.Context(), batch)
			}
		}
	}
}

// send sends a fragment as one event.
func send(w http.ResponseWriter, f *fragment) error {
	if f == nil {
		return nil
	}
	html, err := render(f)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "data: %s\n\n", bytes.ReplaceAll(html, []byte("\n"), []byte("\ndata: "))); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

func render(f *fragment) ([]byte, error) {
	var b bytes.Buffer
	err := templates.ExecuteTemplate(&b, f.template, f.data)
	return b.Bytes(), err
}
