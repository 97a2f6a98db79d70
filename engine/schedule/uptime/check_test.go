package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// target answers as the path says.
func target(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/hang":
		<-r.Context().Done()
	case "/teapot":
		w.WriteHeader(http.StatusTeapot)
	case "/moved":
		http.Redirect(w, r, "/", http.StatusFound)
	default:
		w.Write([]byte("Welcome"))
	}
}

func TestAnAnswerIsCompared(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(target))
	defer server.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	c := newChecker()
	for _, k := range []struct {
		monitor Monitor
		want    string // "" is success
	}{
		{Monitor{Target: server.URL}, ""},
		{Monitor{Target: server.URL + "/moved"}, ""},
		{Monitor{Target: server.URL, Contains: "come"}, ""},
		{Monitor{Target: server.URL, Contains: "gone"}, `does not contain "gone"`},
		{Monitor{Target: server.URL + "/teapot"}, "status 418"},
		{Monitor{Target: server.URL + "/teapot", Status: 418}, ""},
		{Monitor{Target: server.URL, Status: 418}, "status 200"},
		{Monitor{Target: closed.URL}, "connection refused"},
		{Monitor{Target: "tcp://" + server.Listener.Addr().String()}, ""},
		{Monitor{Target: "tcp://" + closed.Listener.Addr().String()}, "connection refused"},
	} {
		k.monitor.Timeout = Duration(10 * time.Second)
		_, err := c.check(t.Context(), &k.monitor)
		if k.want == "" {
			require.NoError(t, err, "%+v", k.monitor)
		} else {
			require.ErrorContains(t, err, k.want, "%+v", k.monitor)
		}
	}
}

func TestWhatDoesNotAnswerFailsWithinTheTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(target))
	defer server.Close()
	m := Monitor{Target: server.URL + "/hang", Timeout: Duration(50 * time.Millisecond)}
	_, err := newChecker().check(t.Context(), &m)
	require.EqualError(t, err, "no answer within 50ms")
}

func TestACertificateThatExpiresSoonIsAFailure(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(target))
	defer server.Close()
	c := newChecker()
	m := Monitor{Target: server.URL, Timeout: Duration(10 * time.Second), CertDays: 14}
	_, err := c.check(t.Context(), &m)
	require.ErrorContains(t, err, "certificate", "it is trusted by nobody")

	c.client.Transport.(*http.Transport).TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	_, err = c.check(t.Context(), &m)
	require.NoError(t, err)
	m.CertDays = 1_000_000
	_, err = c.check(t.Context(), &m)
	require.ErrorContains(t, err, "the certificate expires on ")
}

// What listens need not say anything.
func TestConnectingIsEnoughForTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	m := Monitor{Target: "tcp://" + listener.Addr().String(), Timeout: Duration(10 * time.Second)}
	_, err = newChecker().check(t.Context(), &m)
	require.NoError(t, err)
}
