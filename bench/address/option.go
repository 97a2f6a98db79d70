package address

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// Parameters of the URL that the client library does not know.
const (
	caFile           = "ca"
	certFile         = "cert"
	keyFile          = "key"
	serverName       = "server_name"
	sentinelUser     = "sentinel_user"
	sentinelPassword = "sentinel_password"
)

const masterSet = "master_set"

// parameters are all that a URL may have: one that is mistyped is not ignored.
var parameters = []string{
	"addr", masterSet, "db", "dial_timeout", "write_timeout", "skip_verify", "protocol", "client_cache", "max_retries", "client_name",
	caFile, certFile, keyFile, serverName, sentinelUser, sentinelPassword,
}

// Option returns how clients connect to the Redis at a URL. Errors do not repeat the URL.
func Option(text string) (o rueidis.ClientOption, err error) {
	if o, err = parse(text); err != nil {
		return o, fmt.Errorf("-redis: %w", err)
	}
	return o, nil
}

func parse(text string) (o rueidis.ClientOption, err error) {
	u, err := url.Parse(text)
	if err == nil {
		o, err = rueidis.ParseURL(text)
	}
	if err != nil {
		return o, fmt.Errorf("not the URL of a Redis server, as redis://user@host:6379: %w", silent(text, err))
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("the parameters of the URL: %w", silent(text, err))
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(parameters, name) {
			return o, fmt.Errorf("%q is not a parameter of the URL; there are %s", name, strings.Join(parameters, ", "))
		}
	}
	if err := secure(&o, q); err != nil {
		return o, err
	}
	if o.Sentinel.MasterSet != "" {
		o.Sentinel.Username, o.Sentinel.Password = q.Get(sentinelUser), q.Get(sentinelPassword)
		o.Sentinel.Dialer = o.Dialer
		if o.TLSConfig != nil {
			// The first address is that of a Sentinel: each node is known by its own.
			o.TLSConfig.ServerName = q.Get(serverName)
			o.Sentinel.TLSConfig = o.TLSConfig.Clone()
		}
	}
	return o, nil
}

// secure applies the parameters for TLS.
func secure(o *rueidis.ClientOption, q url.Values) error {
	ca, cert, key := q.Get(caFile), q.Get(certFile), q.Get(keyFile)
	if o.TLSConfig == nil {
		if ca+cert+key+q.Get(serverName) != "" {
			return errors.New("ca, cert, key and server_name are for TLS: rediss://")
		}
		return nil
	}
	if name := q.Get(serverName); name != "" {
		o.TLSConfig.ServerName = name
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		o.TLSConfig.RootCAs = x509.NewCertPool()
		if !o.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("ca: %s has no certificate in PEM", ca)
		}
	}
	if cert+key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("cert and key: %w", err)
		}
		o.TLSConfig.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// silent returns the reason of a parse error alone: its text repeats the URL, and where that has credentials any part of it may be of them.
func silent(text string, err error) error {
	if strings.Contains(text, "@") || strings.Contains(text, sentinelPassword) {
		return errors.New("it cannot be parsed (in user and password, write special characters as %2F and so on)")
	}
	var parse *url.Error
	if errors.As(err, &parse) {
		return parse.Err
	}
	return err
}

// Redacted returns the URL without its passwords.
func Redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "the URL given"
	}
	if q := u.Query(); q.Has(sentinelPassword) {
		q.Set(sentinelPassword, "xxxxx")
		u.RawQuery = q.Encode()
	}
	return u.Redacted()
}
