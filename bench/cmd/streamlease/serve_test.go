package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/console"
	"github.com/streamlease/streamlease/test/servers"
)

// served is the command while it serves.
type served struct {
	t    *testing.T
	url  string
	stop func() // as Ctrl-C does; then its status is as it should be
	log  *lines
	http *http.Client
}

// lines is what the command writes, while it does.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// serveCommand starts the command, and ends it with the test.
func serveCommand(t *testing.T, s *servers.Server, args ...string) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	said, out := io.Pipe()
	e := testEnv("")
	log := &lines{}
	e.out, e.errs = out, log
	status := make(chan int, 1)
	go func() {
		status <- e.run(ctx, append([]string{"streamlease", "-redis", "redis://" + s.Addr(), "serve", "-listen", "127.0.0.1:0"}, args...))
		out.Close()
	}()
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err, log.String())
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // its certificate is the test's
	v := &served{t: t, url: strings.TrimSpace(line), log: log, http: &http.Client{Transport: transport}}
	v.stop = sync.OnceFunc(func() {
		cancel()
		require.Equal(t, statusDone, <-status, log.String())
		transport.CloseIdleConnections()
	})
	t.Cleanup(v.stop)
	return v
}

// ask sends a request with pairs of header fields.
func (v *served) ask(method, path, body string, fields ...string) (status int, text string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.url+path, strings.NewReader(body))
	require.NoError(v.t, err)
	for i := 0; i < len(fields); i += 2 {
		if r.Header.Add(fields[i], fields[i+1]); fields[i] == "Host" {
			r.Host = fields[i+1]
		}
	}
	answer, err := v.http.Do(r)
	require.NoError(v.t, err)
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	require.NoError(v.t, err)
	return answer.StatusCode, string(all)
}

func (v *served) freeze(fields ...string) (status int, text string) {
	v.t.Helper()
	form := url.Values{"do": {"ask"}, "kind": {"freeze"}, "for": {"10m"}, "reason": {"a look"}, "sure": {"yes"}}
	return v.ask(http.MethodPost, "shop/act", form.Encode(),
		append(fields, "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")...)
}

func TestServe(t *testing.T) {
	f := newFleet(t, "ant")
	f.publish("bad-1", "order-1")
	f.settled(1, 0, 1)

	v := serveCommand(t, f.server, "-service", shopName, "-service", "bakery")
	_, text := v.ask(http.MethodGet, "", "")
	require.Contains(t, text, `href="./bakery/"`)
	require.Contains(t, text, `href="./shop/"`)
	_, text = v.ask(http.MethodGet, "shop", "")
	require.Contains(t, text, "Is all well?", "a path without its slash leads to it")
	_, text = v.ask(http.MethodGet, "shop/letters", "")
	require.Contains(t, text, "bad-1")
	require.NotContains(t, text, `action="act"`, "nothing can be changed")
	_, text = v.ask(http.MethodGet, "shop/schedules", "")
	require.Contains(t, text, "There are no schedules.")
	_, text = v.ask(http.MethodGet, "bakery/", "")
	require.Contains(t, text, "bakery")
	status, _ := v.ask(http.MethodGet, "pub/", "")
	require.Equal(t, http.StatusNotFound, status)
	status, text = v.freeze()
	require.Equal(t, http.StatusForbidden, status, text)
	status, _ = v.ask(http.MethodGet, "shop/", "", "Host", "elsewhere.example:8080")
	require.Equal(t, http.StatusMisdirectedRequest, status, "another site that has the address of this host")

	// A page that follows the fleet does not hold up the end.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.url+"shop/live?view=fleet", nil)
	require.NoError(t, err)
	live, err := v.http.Do(r)
	require.NoError(t, err)
	defer live.Body.Close()
	_, err = bufio.NewReader(live.Body).ReadString('\n')
	require.NoError(t, err)
	v.stop()
	_, err = io.Copy(io.Discard, live.Body)
	require.NoError(t, err, "the connection was ended in order")
}

func TestServeLetsViewersAct(t *testing.T) {
	f := newFleet(t, "ant")
	wishes := func() int {
		found, err := f.inspector.Wishes(t.Context())
		require.NoError(t, err)
		return len(found)
	}
	v := serveCommand(t, f.server, "-service", shopName, "-actions", "-user-header", "X-Forwarded-User")
	for _, fields := range [][]string{nil, {"X-Forwarded-User", ""}, {"X-Forwarded-User", "ann", "X-Forwarded-User", "bob"}} {
		status, text := v.freeze(fields...)
		require.Equal(t, http.StatusForbidden, status, text)
		require.Contains(t, text, "X-Forwarded-User")
	}
	require.Zero(t, wishes())
	status, text := v.freeze("X-Forwarded-User", "ann@example.com", "Host", "ops.example.com")
	require.Equal(t, http.StatusOK, status, text)
	require.Equal(t, 1, wishes())
	v.stop()
	require.Contains(t, v.log.String(), "who=ann@example.com")

	v = serveCommand(t, f.server, "-service", shopName, "-actions")
	status, text = v.freeze("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status, text)
	status, text = v.freeze()
	require.Equal(t, http.StatusOK, status, text)
	v.stop()
	require.Contains(t, v.log.String(), "operator acted on the service")
}

func TestServeByTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	made := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, made, made, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))

	v := serveCommand(t, servers.New(t), "-service", shopName, "-cert", certFile, "-key", keyFile)
	require.True(t, strings.HasPrefix(v.url, "https://"), v.url)
	_, text := v.ask(http.MethodGet, "", "")
	require.Contains(t, text, "<title>Overview", "with one service it is at the root, too")
}

func TestServeRefuses(t *testing.T) {
	s := servers.New(t)
	f := &fleet{Console: console.Console{T: t, Client: s.Client(t)}, server: s}
	for _, args := range [][]string{
		{"-actions", "-listen", ":0"},
		{"-actions", "-listen", "0.0.0.0:0"},
		{"-actions", "-listen", "example.com:80"},
		{"-listen", "8080"},
		{"-cert", "cert"},
		{"-key", "key"},
		{"something"},
	} {
		status, _, errs := f.call(append([]string{"serve"}, args...)...)
		require.Equal(t, statusUsage, status, "%s: %s", args, errs)
	}
	status, _, errs := f.call("serve", "-cert", "nowhere", "-key", "nowhere")
	require.Equal(t, statusFailed, status, errs)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	status, _, errs = f.call("serve", "-listen", l.Addr().String())
	require.Equal(t, statusFailed, status, errs)
	require.Contains(t, errs, "-listen")
}
