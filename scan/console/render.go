package console

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// pages are the templates of all pages, by file. Each has the common ones and its own.
var pages = sync.OnceValue(func() map[string]*template.Template {
	files, err := fs.Sub(templateFiles, "templates")
	if err != nil {
		panic(err) // they are embedded
	}
	common := template.Must(template.New("").Funcs(functions).ParseFS(files, "layout.html", "parts.html"))
	names, err := fs.Glob(files, "*.html")
	if err != nil {
		panic(err)
	}
	all := make(map[string]*template.Template)
	for _, name := range names {
		if name != "layout.html" && name != "parts.html" {
			all[strings.TrimSuffix(name, ".html")] = template.Must(template.Must(common.Clone()).ParseFS(files, name))
		}
	}
	return all
})

var functions = template.FuncMap{
	"asset":  assetName,
	"body":   body,
	"bytes":  bytesText,
	"count":  count,
	"plural": plural,
	"link":   link,
	"number": number,
	"short":  short,
	"line":   line,
	"whole":  visible,
	"span":   span,
	"ago":    ago,
	"in":     in,
	"exact":  exact,
	"state":  stateText,
	"means":  stateMeaning,
	"text":   func(x any) string { return fmt.Sprint(x) },
	"pairs":  pairs,
	"runOf":  runOf,
	"typed":  typed,
	"query":  url.QueryEscape,

	"storyLevel": storyLevel,
}

// ago is how long before now a time was, with the time itself for whoever points at it.
func ago(now, at time.Time) template.HTML {
	switch {
	case at.IsZero():
		return "–"
	case at.After(now.Add(time.Second)):
		return in(now, at)
	}
	return timed(at, span(now.Sub(at))+" ago")
}

// in is how long after now a time is.
func in(now, at time.Time) template.HTML {
	switch {
	case at.IsZero():
		return "–"
	case at.Before(now):
		return timed(at, span(now.Sub(at))+" ago")
	}
	return timed(at, "in "+span(at.Sub(now)))
}

// timed needs no escaping: it has digits and units only.
func timed(at time.Time, text string) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, at.UTC().Format(time.RFC3339), exactText(at), text))
}

// exact is a time in full, and for machines.
func exact(at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s</time>`, at.UTC().Format(time.RFC3339), exactText(at)))
}

func exactText(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000") + " UTC" }

// pairs passes several values to a template.
func pairs(all ...any) map[string]any {
	values := make(map[string]any)
	for i := 0; i+1 < len(all); i += 2 {
		values[all[i].(string)] = all[i+1]
	}
	return values
}
