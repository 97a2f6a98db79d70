package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/address"
	"github.com/streamlease/streamlease/test/servers"
)

// certificate writes a certificate for 127.0.0.1 that signs itself, and its key, which serve as those of a server, of a client, and of the
// authority of both.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	require.NoError(t, err)
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, key
}

// freePort returns a port on which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// TestTheAddressReachesTLSAndAnAccessUser: a server that asks clients for certificates, and a user of its own. The password is in the
// environment, and on no command line, children included.
func TestTheAddressReachesTLSAndAnAccessUser(t *testing.T) {
	cert, key := certificate(t)
	secret := rand.Text()
	port := freePort(t)
	server := servers.New(t, servers.Args("--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert))
	_, err := server.Call(t.Context(), "ACL", "SETUSER", "engine", "on", ">"+secret, "allkeys", "allchannels", "+@all")
	require.NoError(t, err)
	_, err = server.Call(t.Context(), "ACL", "SETUSER", "default", "off")
	require.NoError(t, err)
	url := "rediss://engine@127.0.0.1:" + port + "?ca=" + cert + "&cert=" + cert + "&key=" + key

	t.Setenv(address.EnvPassword, secret)
	for _, args := range [][]string{
		{"-redis", url, "preflight", "-service", "orders"},
		{"preflight", "-service", "orders", "--redis", url},
		{"-redis", url, "take", "-streams", "20", "-rounds", "1"},
	} {
		out, err := bench(t, args...)
		require.NoError(t, err, out)
		require.NotContains(t, out, secret)
	}
	seen := watchCommandLines(t, secret)
	out, err := bench(t, "hold", "-streams", "20", "-for", "300ms", "-redis", url)
	require.NoError(t, err, out)
	require.NotContains(t, out, secret)
	require.Empty(t, seen())

	t.Setenv(address.EnvURL, url)
	out, err = bench(t, "preflight", "-service", "orders")
	require.NoError(t, err, out)
	t.Setenv(address.EnvPassword, "falsch")
	out, err = bench(t, "preflight", "-service", "orders")
	require.Error(t, err)
	require.Contains(t, out, "WRONGPASS")
	require.NotContains(t, out, "falsch")
}

// watchCommandLines looks at the command lines of all processes until the function that it returns is called, which tells those that
// contained a secret.
func watchCommandLines(t *testing.T, secret string) func() []string {
	t.Helper()
	var seen []string
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, path := range paths {
				line, _ := os.ReadFile(path) // a process that has ended has none
				if strings.Contains(string(line), secret) {
					seen = append(seen, string(line))
				}
			}
		}
	}()
	return func() []string {
		close(stop)
		<-stopped
		return seen
	}
}

// TestTheAddressIsThatOfSentinels, where the servers have a password and the Sentinels have none.
func TestTheAddressIsThatOfSentinels(t *testing.T) {
	s := servers.NewSentinel(t, servers.SentinelOptions{Server: servers.Options{Password: "geheim"}})
	o := s.ClientOption()
	url := "redis://" + o.InitAddress[0] + "?master_set=" + o.Sentinel.MasterSet + "&addr=" + o.InitAddress[1]
	t.Setenv(address.EnvPassword, "geheim")
	for _, args := range [][]string{
		{"preflight", "-service", "orders"},
		{"hold", "-streams", "20", "-for", "300ms"},
	} {
		out, err := bench(t, append([]string{"-redis", url}, args...)...)
		require.NoError(t, err, out)
	}
}

func TestWhatUsesNoServerOfOursRefusesOne(t *testing.T) {
	requireRefused(t, "scan", "-redis", "redis://127.0.0.1:1")
	requireRefused(t, "-redis", "redis://127.0.0.1:1", "scale")
}

// Every command has the same words for it, and takes it before and after its own name.
func TestEveryCommandTakesTheAddressInTheSameWords(t *testing.T) {
	words := ""
	for _, sub := range command().Commands {
		var out strings.Builder
		c := command()
		c.Writer = &out
		require.NoError(t, c.Run(t.Context(), []string{"bench", "-redis", "redis://a", sub.Name, "-redis", "redis://b", "-h"}))
		line := regexp.MustCompile(`(?m)^   --redis string .*$`).FindString(out.String())
		require.NotEmpty(t, line, "%s: %s", sub.Name, out.String())
		if words == "" {
			words = line
		}
		require.Equal(t, strings.Fields(words), strings.Fields(line), sub.Name)
	}
	require.Contains(t, words, address.EnvURL)
	require.Contains(t, words, address.EnvPassword)
}
