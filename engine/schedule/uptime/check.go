package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// maxBody is how much of an answer is read.
const maxBody = 256 << 10

// checker looks at targets. Each check makes a connection of its own, as a new visitor does.
type checker struct {
	client *http.Client
	dialer net.Dialer
}

func newChecker() *checker {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	return &checker{client: &http.Client{Transport: transport}}
}

// check returns why the target of m is not as expected, or nil, and how long it took to find out: at most m.Timeout.
func (c *checker) check(ctx context.Context, m *Monitor) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(m.Timeout), fmt.Errorf("no answer within %v", m.Timeout))
	defer cancel()
	target, err := url.Parse(m.Target)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if target.Scheme == "tcp" {
		err = c.connect(ctx, target.Host)
	} else {
		err = c.get(ctx, m)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return time.Since(began), err
}

func (c *checker) connect(ctx context.Context, address string) error {
	conn, err := c.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func (c *checker) get(ctx context.Context, m *Monitor) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Target, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "streamlease-uptime")
	answer, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	switch {
	case err != nil:
		return err
	case m.Status != 0 && answer.StatusCode != m.Status, m.Status == 0 && answer.StatusCode/100 != 2:
		return fmt.Errorf("status %s", answer.Status)
	case !bytes.Contains(body, []byte(m.Contains)):
		return fmt.Errorf("the answer does not contain %q", m.Contains)
	}
	return certificate(answer.TLS, m.CertDays)
}

// certificate returns an error if the server's certificate expires within some days. That it is valid now, the client has checked.
func certificate(state *tls.ConnectionState, days int) error {
	if state == nil || days == 0 {
		return nil
	}
	if end := state.PeerCertificates[0].NotAfter; end.Before(time.Now().AddDate(0, 0, days)) {
		return fmt.Errorf("the certificate expires on %s", end.Format(time.DateOnly))
	}
	return nil
}
