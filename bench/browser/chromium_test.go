package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// envChromium names the environment variable with the path of the browser. Unset: the one on PATH, where `make browser` puts it.
const envChromium = "STREAMLEASE_CHROMIUM"

// patience is how long a test waits for what must happen.
const patience = time.Minute

// findChromium returns the path of a browser.
func findChromium() (string, error) {
	if path := os.Getenv(envChromium); path != "" {
		return exec.LookPath(path)
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no chromium: get it with `make browser`, or set %s", envChromium)
}

// newBrowser starts a browser that reaches nothing but this host, or ends the test, loudly, where there is none. Where all servers have to be
// there, it has to be, too.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := findChromium()
	if err != nil {
		if os.Getenv(servers.EnvAllPrograms) != "" || os.Getenv(envChromium) != "" {
			require.NoError(t, err)
		}
		t.Skipf("NOT RUN: no page was shown by a browser: %v", err)
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-dev-shm-usage", true), // which is small in containers
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"))
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	browser, end := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(browser) // waits for it
		end()
		stop()
		chromedp.FromContext(browser).Allocator.Wait()
	})
	require.NoError(t, chromedp.Do(browser))
	return browser
}

// tab is a page of the browser, and what it complained about.
type tab struct {
	t   *testing.T
	ctx context.Context
	at  string // address of the console
	mu  struct {
		sync.Mutex
		complaints []string
	}
}

// newTab opens a window of its own, so that it is looked at. The test fails if its pages have errors, or ask another host for something.
func newTab(t *testing.T, browser context.Context, at string) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	require.NoError(t, chromedp.Do(ctx))
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	b := &tab{t: t, ctx: ctx, at: at}
	t.Cleanup(func() {
		cancel()
		closeTab()
		b.mu.Lock()
		defer b.mu.Unlock()
		require.Empty(t, b.mu.complaints)
	})
	host, err := url.Parse(at)
	require.NoError(t, err)
	err = chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded: // what breaks the policy is here, too
			b.complain("%s: %s: %s (%s)", e.Entry.Level, e.Entry.Source, e.Entry.Text, e.Entry.URL)
		case *runtime.EventConsoleAPICalled:
			b.complain("console.%s", e.Type)
		case *runtime.EventExceptionThrown:
			b.complain("exception: %s", e.ExceptionDetails.Text)
		case *audits.EventIssueAdded:
			if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
				b.complain("policy: %s by %s", e.Issue.Details.ContentSecurityPolicyIssueDetails.ViolatedDirective, e.Issue.Details.ContentSecurityPolicyIssueDetails.BlockedURL)
			}
		case *network.EventRequestWillBeSent:
			if to, err := url.Parse(e.Request.URL); err != nil || to.Host != host.Host || to.Scheme != host.Scheme {
				b.complain("asked for %s", e.Request.URL)
			}
		}
	})
	require.NoError(t, err)
	tell(b, log.Enable, cdp.Empty{})
	tell(b, audits.Enable, cdp.Empty{})
	return b
}

func (b *tab) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.complaints = append(b.mu.complaints, fmt.Sprintf(format, args...))
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, steps...))
}

// tell sends a command of the protocol.
func tell[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b.t, err)
}

// eval returns what an expression is.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	require.NoError(b.t, err, expression)
	return value
}

// open shows a page of the console.
func (b *tab) open(page string) {
	b.t.Helper()
	answer, err := chromedp.RunResponse(b.ctx, chromedp.Navigate(b.at+page))
	require.NoError(b.t, err)
	require.EqualValues(b.t, 200, answer.Status, page)
}

// click clicks on what leads to another page.
func (b *tab) click(selector string) {
	b.t.Helper()
	answer, err := chromedp.RunResponse(b.ctx, chromedp.Click(chromedp.CSS(selector)))
	require.NoError(b.t, err, selector)
	require.EqualValues(b.t, 200, answer.Status, selector)
}

// text returns what a person reads in an element.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, "document.querySelector("+strconv.Quote(selector)+").innerText")
}

// until waits for an expression to be true.
func (b *tab) until(expression string) {
	b.t.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	require.NoError(b.t, err, "%s\n%s", expression, b.text("body"))
}
