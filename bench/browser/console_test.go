package browser

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// envScreenshots names the environment variable with a folder for a picture of each page. Unset: there are none, since they take longer than
// the test.
const envScreenshots = "STREAMLEASE_SCREENSHOTS"

// TestConsole has one browser and one fleet for all that is looked at, one after the other.
func TestConsole(t *testing.T) {
	browser := newBrowser(t)
	f := newFleet(t)
	t.Run("looks", func(t *testing.T) { looks(t, browser, f) })
	t.Run("needs no script", func(t *testing.T) { needsNoScript(t, browser, f) })
	t.Run("is live", func(t *testing.T) { isLive(t, browser, f) })
	t.Run("sends back", func(t *testing.T) { sendsBack(t, browser, f) })
}

// page is one to look at.
type page struct {
	name, at string
	reads    string // what it says
}

func (f *fleet) pages() []page {
	with := func(name string, pairs ...string) string {
		q := make(url.Values)
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		return name + "?" + q.Encode()
	}
	letter := func(stream string) string {
		l := f.letter(stream)
		return with("letter", "partition", strconv.Itoa(l.Partition), "id", l.ID)
	}
	return []page{
		{"overview", "", "Dead letters"},
		{"fleet", "fleet", "ant"},
		{"process", with("process", "name", f.run("ant")), "Its consumers"},
		{"process-long", with("process", "name", f.run(processes[2])), "Its consumers"},
		{"moves", with("moves", "window", "10m"), "ant"},
		{"stream", "stream", "Name of the stream"},
		{"stream-owned", with("stream", "name", "order-1"), "Lease ends"},
		{"stream-markup", with("stream", "name", markup), "<img src=x onerror=alert(1)>"},
		{"stream-turned", with("stream", "name", turned), `\u202egnp.exe`},
		{"stream-dead", with("stream", "name", "bad-"+unbroken), "Last owner"},
		{"stream-delayed", with("stream", "name", "later-plain"), "Hand out now"},
		{"stream-endless", with("stream", "name", endless), "Lease ends"},
		{"stream-unknown", with("stream", "name", "nowhere"), "nowhere"},
		{"letters", "letters", "Send all back"},
		{"letters-filtered", with("letters", "stream", "bad-"+markup), "<script>"},
		{"letters-none", with("letters", "stream", "nowhere"), "No dead letter matches"},
		{"letter", letter("bad-" + markup), "the handler says no"},
		{"letter-endless", letter("bad-" + endless), "the handler says no"},
		{"delayed", "delayed", "later-plain"},
		{"schedules", "schedules", "every 1m0s"},
		{"schedule", with("schedule", "name", markup+turned), "paused"},
		{"partitions", "partitions", "Slot"},
		{"maintenance", "maintenance", "Freeze"},
	}
}

//go:embed look.js
var lookScript string

// look is what that script returns.
type look struct {
	Faint, Wide []string
	Page        string
}

// looks shows each page in all sizes and colors.
func looks(t *testing.T, browser context.Context, f *fleet) {
	b := newTab(t, browser, f.at)
	var wrong []string
	for _, p := range f.pages() {
		b.open(p.at)
		assert.Contains(t, b.text("main"), p.reads, p.name)
		behind := make(map[string]string)
		for _, width := range []int64{1280, 390} {
			for _, scheme := range []string{"light", "dark"} {
				tell(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 844, DeviceScaleFactor: 1})
				tell(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
				seen := eval[look](b, lookScript)
				behind[scheme] = seen.Page
				name := fmt.Sprintf("%s-%d-%s", p.name, width, scheme)
				for _, what := range append(seen.Faint, seen.Wide...) {
					wrong = append(wrong, name+": "+what)
				}
				b.picture(name)
			}
		}
		require.NotEqual(t, behind["light"], behind["dark"], p.name)
	}
	require.Empty(t, wrong)
}

// picture takes one of the whole page.
func (b *tab) picture(name string) {
	b.t.Helper()
	folder := os.Getenv(envScreenshots)
	if folder == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(b.t, err)
	require.NoError(b.t, os.MkdirAll(folder, 0o755))
	require.NoError(b.t, os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644))
}

func needsNoScript(t *testing.T, browser context.Context, f *fleet) {
	b := newTab(t, browser, f.at)
	tell(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, p := range f.pages() {
		if strings.Contains(p.name, "-") && p.name != "stream-owned" {
			continue // another of a kind
		}
		b.open(p.at)
		assert.Contains(t, b.text("main"), p.reads, p.name)
	}
}

// isLive drains a process by a click, in one window, and sees it happen in another.
func isLive(t *testing.T, browser context.Context, f *fleet) {
	watching, acting := newTab(t, browser, f.at), newTab(t, browser, f.at)
	watching.open("fleet")
	eval[bool](watching, "window.same = true")
	acting.open("fleet")
	id := eval[string](acting, `[...document.querySelectorAll("#consumers option")].map((o) => o.value).find((v) => v.startsWith("bee"))`)
	acting.do(
		chromedp.SendKeys(chromedp.CSS("input[name=consumer]"), id),
		chromedp.SetValue(chromedp.CSS("select[name=kind]"), "drain"),
		chromedp.SendKeys(chromedp.CSS("input[name=reason]"), "a look"))
	acting.click("form.stack button")
	require.Contains(t, acting.text("main"), "bee", "it is asked about again")
	acting.click("main form button")
	require.Contains(t, acting.text("main"), "On record")
	watching.until(`[...document.querySelectorAll("#fleet tr")].some((r) => r.innerText.includes("bee") && r.querySelector("td[data-label=Held]")?.innerText === "0" && r.innerText.includes("drain"))`)
	watching.until("window.same === true")
}

// sendsBack goes from the overview to one dead letter, and sends it back.
func sendsBack(t *testing.T, browser context.Context, f *fleet) {
	f.mended.Store(true)
	b := newTab(t, browser, f.at)
	b.open("")
	require.Contains(t, b.text("#figures"), "Dead letters")
	b.click(`nav a[href=letters]`) // that in the figures may be replaced while it is clicked
	b.do(chromedp.SendKeys(chromedp.CSS("form.filters input[name=stream]"), "bad-plain"))
	b.click("form.filters button")
	b.click("td.id a")
	require.Contains(t, b.text("main"), "the handler says no")
	b.do(chromedp.NavigateBack())
	b.click(`form[action=act] button:not(.danger)`)
	require.Contains(t, b.text("main"), "1 dead letter")
	b.click("main form button")
	require.Contains(t, b.text("main"), "1 dead letter was sent back")
	b.click("main a.button")
	require.NotContains(t, b.text("main"), "bad-plain")

	f.until(func() bool {
		o, err := f.inspector.Owner(t.Context(), "bad-plain")
		return err == nil && o.Consumer != ""
	})
	b.open("")
	b.do(chromedp.SendKeys(chromedp.CSS("#find-name"), "bad-plain"))
	b.click("form.find button")
	require.Contains(t, b.text("main .verdict"), "owned")
}
