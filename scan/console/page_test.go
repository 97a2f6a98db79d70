package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

// everyPage are the pages that can be read, with what each must have.
var everyPage = map[string]string{
	"": "Is all well?", "fleet": "Processes", "process?consumer=" + worker: "Its consumers", "stream": "Name of the stream",
	"stream?name=orders": "orders", "delayed": "Due", "letters": "permanent: no such order", "schedules": "WithSchedules", "partitions": "Slot",
	"maintenance": "No partition settles", "maintenance?look=stranded": "There are none", "moves": "changed hands",
}

func populated(t *testing.T) *harness {
	h := newHarness(t, 2)
	h.own("orders")
	h.dead("lost", "permanent: no such order")
	h.delayed("tomorrow")
	return h
}

// The same pages are at any path, since all links are relative to a directory.
func TestPagesAreWhereverTheConsoleIsMounted(t *testing.T) {
	t.Parallel()
	c := populated(t).console()
	under := func(pattern string, h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle(pattern, h)
		return mux
	}
	for name, mount := range map[string]struct {
		handler http.Handler
		at      string
	}{
		"root":             {c, "/"},
		"mux":              {under("/streamlease/", c), "/streamlease/"},
		"method":           {under("GET /a/b/", c), "/a/b/"},
		"wildcard":         {under("/ops/{service}/", c), "/ops/shop/"},
		"stripped":         {under("/streamlease/", http.StripPrefix("/streamlease", c)), "/streamlease/"},
		"stripped, slash":  {under("/streamlease/", http.StripPrefix("/streamlease/", c)), "/streamlease/"},
		"stripped, no mux": {http.StripPrefix("/x/y", c), "/x/y/"},
	} {
		t.Run(name, func(t *testing.T) {
			for page, want := range everyPage {
				a := get(t, mount.handler, mount.at+page)
				require.Equal(t, http.StatusOK, a.status, "%s: %s", page, a.text)
				require.Contains(t, a.text, want, page)
			}
			require.Equal(t, http.StatusNotFound, get(t, mount.handler, mount.at+"nothing").status)
		})
	}
	// Without the slash, relative links would lead elsewhere.
	a := get(t, http.StripPrefix("/x/y", c), "/x/y")
	require.Equal(t, http.StatusPermanentRedirect, a.status)
	require.Equal(t, "./y/", a.header.Get("Location"))
}

var (
	address = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	inline  = regexp.MustCompile(`(?i)<style|<script>|\sstyle=|\son[a-z]+=`)
)

// A page has no script or style of its own, loads nothing from outside, and says so to the browser.
func TestPagesAreProtected(t *testing.T) {
	t.Parallel()
	c := populated(t).console()
	for page := range everyPage {
		a := get(t, c, "/"+page)
		require.Equal(t, policy, a.header.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", a.header.Get("Referrer-Policy"))
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		require.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
		require.NotRegexp(t, inline, a.text, page)
		require.NotContains(t, a.text, "ZgotmplZ", page)
		for _, found := range address.FindAllStringSubmatch(a.text, -1) {
			require.NotRegexp(t, `^/|^[a-z]+:|^$`, found[1], page)
		}
	}
	for _, name := range []string{"console.css", "console.js", "icon.svg"} {
		a := get(t, c, "/"+assetName(name))
		require.Equal(t, http.StatusOK, a.status)
		require.Contains(t, a.header.Get("Cache-Control"), "immutable")
		require.Regexp(t, `^console|^icon`, assetName(name))
		require.NotEqual(t, name, assetName(name))
		require.NotContains(t, a.text, "http://www.google")
	}
}

// Nothing that Redis has becomes part of a page: neither markup, nor what turns or hides text.
func TestHostileNamesAreShownAndNotObeyed(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 2)
	names := []string{
		`<script>alert(1)</script>`, `javascript:"><img src=x onerror=alert(1)>`, "\u202egnp.exe x\u2066y\u200bz", "a\x00b\x1b[2Jc line\nline\rline",
		strings.Repeat("long ", 13_000), "../../?a=b&c=d#e+ %41{{.}}",
	}
	for _, name := range names {
		h.dead(name, "permanent: "+name)
		h.delayed(name)
		h.own(name)
	}
	schedules := fakeSchedules{}
	for _, name := range names {
		schedules = append(schedules, Schedule{Name: name, When: name, Owner: name, Note: name, Paused: true, State: name})
	}
	h.Do("HSET", h.layout.Wishes(), "pause:<b>ann</b>", "pause 4000000000000 0 <script>alert(2)</script>")
	c := h.console(WithSchedules(schedules), WithActions(everybody))
	pages := []string{"", "fleet", "letters", "delayed", "schedules", "partitions", "maintenance", "moves", "process?consumer=" + worker}
	for _, page := range []string{"letters", "delayed", "schedules", "process?consumer=" + worker} {
		for _, found := range address.FindAllStringSubmatch(get(t, c, "/"+page).text, -1) {
			if strings.Contains(found[1], "?") {
				pages = append(pages, strings.ReplaceAll(found[1], "&amp;", "&"))
			}
		}
	}
	for _, name := range names {
		pages = append(pages, "stream?name="+url.QueryEscape(name), "schedule?name="+url.QueryEscape(name), "letters?reason="+url.QueryEscape(name))
	}
	pages = append(pages, "stream?name=%ff%fe", "process?name=%ff<b>", "letters?stream=%ff%22%3E<b>", "maintenance?look=<script>")
	for _, page := range pages {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		var err error
		r.URL, err = url.Parse("/" + page)
		require.NoError(t, err)
		a := do(t, c, r)
		require.Less(t, a.status, 500, "%.200s: %.200s", page, a.text)
		require.NotContains(t, a.text, "<script>", "%.200s", page)
		require.NotContains(t, a.text, "<img", "%.200s", page)
		require.NotContains(t, a.text, "<b>", "%.200s", page)
		require.NotRegexp(t, "[\u202a-\u202e\u2066-\u2069\u200b\x00\x1b\r]", a.text, "%.200s", page)
		require.NotContains(t, a.text, "ZgotmplZ", "%.200s", page)
		require.Less(t, len(a.text), 700_000, "%.200s", page)
	}
	whole := get(t, c, "/stream?name="+url.QueryEscape(names[4]))
	require.Contains(t, whole.text, names[4][:60_000], "the stream's own page has all of its name")
}

func TestWhatIsAskedForIsBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	c := h.console()
	for target, status := range map[string]int{
		"/letters?cursor=nonsense":                             http.StatusBadRequest,
		"/letters?cursor=" + strings.Repeat("a", mostCursor+1): http.StatusBadRequest,
		"/letters?partition=one":                               http.StatusBadRequest,
		"/letter?partition=0&id=5-5":                           http.StatusNotFound,
		"/letter":                                              http.StatusBadRequest,
		"/stream?name=" + strings.Repeat("a", mostQuery):       http.StatusRequestURITooLong,
		"/moves?minutes=7":                                     http.StatusBadRequest,
		"/live?view=nothing":                                   http.StatusBadRequest,
		"/fleet?from=99999999999999999999":                     http.StatusOK,
		"/act":                                                 http.StatusMethodNotAllowed,
	} {
		require.Equal(t, status, get(t, c, target).status, "%.60s", target)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodOptions} {
		require.Equal(t, http.StatusMethodNotAllowed, do(t, c, httptest.NewRequest(method, "/letters", nil)).status, method)
	}
	a := do(t, c, httptest.NewRequest(http.MethodHead, "/fleet", nil))
	require.Equal(t, http.StatusOK, a.status)
	require.Empty(t, a.text)
}

// A page that cannot be read says why, and what to do; it is never blank.
func TestErrorsOfRedisAreReadable(t *testing.T) {
	t.Parallel()
	h := newHarness(t, 1)
	unknown := New(h.Client, "nobody", WithInspector(scan.InspectorConfig{}))
	defer unknown.Close()
	a := get(t, unknown, "/")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.text, "Start the first process of the service")

	h.Do("SET", h.layout.Keys(0).DeadLetters, "not a stream")
	a = get(t, h.console(), "/letters")
	require.Equal(t, http.StatusBadGateway, a.status)
	require.Contains(t, a.text, "WRONGTYPE")

	for _, broken := range []*Console{New(nil, "shop"), New(h.Client, "no {braces}"), New(h.Client, "shop", WithInterval(1))} {
		a := get(t, broken, "/")
		require.Equal(t, http.StatusBadRequest, a.status)
		require.Contains(t, a.text, "invalid configuration")
		broken.Close()
	}

	c := h.console()
	require.NoError(t, h.server.Stop())
	for _, page := range []string{"", "fleet", "partitions", "maintenance", "letters", "stream?name=orders", "moves"} {
		a := get(t, c, "/"+page)
		require.Equal(t, http.StatusServiceUnavailable, a.status, page)
		require.Regexp(t, "Redis|could be read", a.text, page)
	}
	c.Close()
	a = get(t, c, "/")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.text, "closed")
}
