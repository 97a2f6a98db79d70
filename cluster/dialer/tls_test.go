package dialer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// certificate makes a certificate for a name, and a pool that trusts it.
func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pool
}

// A certificate for the name that the user gave, or for the endpoint's own, is good for the endpoint; no other is, and the name
// that servers are asked for is the one that they can know.
func TestTheEndpointIsVerified(t *testing.T) {
	for _, c := range []struct {
		name                     string
		certified, given, target string // target: "ip" or "name"
		ok                       bool
		asked                    []string // server names
	}{
		{"an IP address with the certificate of the name", "db.example", "", "ip", true, []string{"db.example"}},
		{"an IP address with its own certificate", "127.0.0.1", "", "ip", true, []string{"db.example", ""}},
		{"another name with the certificate of the old one", "db.example", "", "name", true, []string{"new.example", "db.example"}},
		{"another name with its own certificate", "new.example", "", "name", true, []string{"new.example"}},
		{"the name that the user chose", "db.example", "db.example", "name", true, []string{"db.example"}},
		{"not the name that the user chose", "new.example", "db.example", "name", false, []string{"db.example"}},
		{"somebody else", "evil.example", "", "name", false, []string{"new.example", "db.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cert, pool := certificate(t, c.certified)
			var mu sync.Mutex
			var asked []string
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, h.ServerName)
				return &cert, nil
			}})
			require.NoError(t, err)
			var group sync.WaitGroup
			group.Go(func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_ = conn.(*tls.Conn).Handshake()
					conn.Close()
				}
			})
			defer group.Wait()
			defer l.Close()
			_, port, err := net.SplitHostPort(l.Addr().String())
			require.NoError(t, err)
			target := l.Addr().String()
			if c.target == "name" {
				target = net.JoinHostPort("new.example", port)
			}
			// The user's dialer, which knows where names lead.
			d := New(rueidis.ClientOption{ConnWriteTimeout: tight, TLSConfig: &tls.Config{RootCAs: pool, ServerName: c.given},
				DialCtxFn: func(ctx context.Context, _ string, nd *net.Dialer, config *tls.Config) (net.Conn, error) {
					td := tls.Dialer{NetDialer: nd, Config: config}
					if config.ServerName == "" {
						t.Error("the library would take the name from the address")
					}
					return td.DialContext(ctx, "tcp", l.Addr().String())
				}})
			d.Follow("db.example:6379", target, time.Now(), 0)
			d.mu.routes["db.example:6379"].targets = []string{target} // nothing to fall back to
			opt := d.ClientOption(0)
			conn, err := opt.DialCtxFn(t.Context(), "db.example:6379", &opt.Dialer, opt.TLSConfig)
			if c.ok {
				require.NoError(t, err)
				conn.Close()
			} else {
				require.Error(t, err)
			}
			mu.Lock()
			defer mu.Unlock()
			require.Equal(t, c.asked, asked)
		})
	}
}
