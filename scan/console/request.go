package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	// mostQuery is how long a query may be, in bytes: the name of a stream of 64 KiB, each byte escaped.
	mostQuery = 200 << 10
	// mostForm is how long the body of a request may be.
	mostForm = 256 << 10
	// mostCursor is how long a cursor may be; those of package scan are much shorter.
	mostCursor = 8 << 10
	// mostLink is how long a link to a name may be. Longer ones are left out, since proxies refuse them.
	mostLink = 6 << 10
)

// policy lets a page have its own style, script, icon and live updates, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'"

// protect sets the headers that all answers have.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// pageName returns the name of a page: what follows the last slash of the path. Nothing above it is looked at, so the console may be
// mounted anywhere. ok is false for a path without a slash, relative to which links would lead elsewhere.
func pageName(r *http.Request) (name string, ok bool) {
	prefix := r.Pattern
	if _, path, found := strings.Cut(prefix, " "); found {
		prefix = strings.TrimSpace(path) // after a method
	}
	if slash := strings.IndexByte(prefix, '/'); slash > 0 {
		prefix = prefix[slash:] // after a host
	}
	rest := r.URL.Path
	if strings.HasSuffix(prefix, "/") && !strings.Contains(prefix, "{") {
		rest = strings.TrimPrefix(rest, prefix)
	} else if slash := strings.LastIndexByte(rest, '/'); slash >= 0 {
		return rest[slash+1:], true
	}
	if r.URL.Path == "" && !strings.HasSuffix(requestPath(r), "/") {
		return "", false // the prefix was stripped, with nothing after it
	}
	return strings.TrimPrefix(rest, "/"), true
}

// requestPath is the path that the browser asked for.
func requestPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// allowed refuses a method that a page is not for, and a query that is too long.
func allowed(r *http.Request, post bool) error {
	switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
	case post && r.Method != http.MethodPost:
		return &refusal{http.StatusMethodNotAllowed, "This changes something, so it is asked for by a form (POST)."}
	case !post && !reads:
		return &refusal{http.StatusMethodNotAllowed, "This page can only be read (GET)."}
	case len(r.URL.RawQuery) > mostQuery:
		return &refusal{http.StatusRequestURITooLong, "The address is longer than " + bytesText(mostQuery) + "."}
	}
	return nil
}

// cursorOf returns where a page begins.
func cursorOf(q url.Values) (string, error) {
	cursor := q.Get("cursor")
	if len(cursor) > mostCursor {
		return "", badRequest("The cursor is longer than " + bytesText(mostCursor) + ". Begin with the first page.")
	}
	return cursor, nil
}

// partitionOf returns the partition that is asked for; ok is false for all.
func partitionOf(q url.Values) (p int, ok bool, err error) {
	text := strings.TrimSpace(valueOf(q, "partition"))
	if text == "" {
		return 0, false, nil
	}
	p, err = strconv.Atoi(text)
	if err != nil || p < 0 {
		return 0, false, badRequest("A partition is a number from 0.")
	}
	return p, true, nil
}

// link returns an address within the console, with a query of pairs; those without a value are left out. It is empty where that is
// longer than what proxies let pass.
func link(page string, pairs ...string) string {
	q := make(url.Values)
	for i := 0; i+1 < len(pairs); i += 2 {
		if len(pairs[i+1]) > mostLink {
			return ""
		}
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if page == "" {
		page = "./"
	}
	if len(q) == 0 {
		return page
	}
	if text := page + "?" + q.Encode(); len(text) <= mostLink {
		return text
	}
	return ""
}

// Browsers change what a field of a form has: line ends, and bytes that are no UTF-8. Hidden fields with names of streams and consumers
// have them escaped, under a name of their own.
const escapedField = "escaped-"

// valueOf returns a value of a form or a query, however it came.
func valueOf(q url.Values, name string) string {
	if text := q.Get(escapedField + name); text != "" {
		if value, err := url.QueryUnescape(text); err == nil {
			return value
		}
	}
	return q.Get(name)
}

// typed returns a value that a text field can show and send back as it is; empty for others.
func typed(value string) string {
	if visible(value) == value && strings.TrimSpace(value) == value && utf8.ValidString(value) {
		return value
	}
	return ""
}
