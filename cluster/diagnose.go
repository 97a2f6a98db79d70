package cluster

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
)

const (
	// answerTime is how long Diagnose waits for an answer, and for a TLS handshake, if the client's timeout is not shorter.
	answerTime = time.Second
	// answerLength is how much of an answer Diagnose reads, in bytes.
	answerLength = 80
)

// Diagnose adds to an error of connecting what is behind it, where the client library does not say: it asks the first address in
// plain text, and if that closes the connection, by TLS. The result matches api.ErrNotRedis if what is there is not Redis, or if
// one side speaks TLS and the other does not. Error replies of a server, and connections that were not made, say enough by
// themselves. It takes up to two seconds.
func Diagnose(opt rueidis.ClientOption, err error) error {
	var refused *rueidis.RedisError
	var dialing *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused), errors.As(err, &dialing) && dialing.Op == "dial":
		return err
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: %s: %w (check TLSConfig: its ServerName and RootCAs)", api.ErrNotRedis, strings.Join(opt.InitAddress, " "), err)
	case len(opt.InitAddress) == 0:
		return err
	}
	address := opt.InitAddress[0]
	wait := min(cmp.Or(opt.Dialer.Timeout, answerTime), answerTime)
	answer, failed := askPlainly(&opt, address, wait)
	secure := opt.TLSConfig != nil
	switch {
	case isRedis(answer) && secure:
		return fmt.Errorf("%w: %s speaks Redis without TLS, and the client's TLSConfig is set: leave it out, or use the server's TLS port (%w)",
			api.ErrNotRedis, address, err)
	case isRedis(answer):
		return fmt.Errorf("%s answers %q: %w", address, answer, err)
	case isAlert(answer) && !secure, answer == "" && errors.Is(failed, io.EOF) && !secure && speaksTLS(&opt, address, wait):
		return fmt.Errorf("%w: %s speaks TLS, and the client does not: set TLSConfig (%w)", api.ErrNotRedis, address, err)
	case isAlert(answer):
		return fmt.Errorf("the TLS handshake with %s fails: %w", address, err)
	case answer != "":
		return fmt.Errorf("%w: %s is another kind of server, it answers %q: check the address and the port (%w)",
			api.ErrNotRedis, address, answer, err)
	case secure && strings.Contains(err.Error(), "tls: "):
		return fmt.Errorf("the TLS handshake with %s fails: %w", address, err)
	case errors.Is(failed, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s accepts connections and does not answer: the server hangs, or is not Redis: %w", address, err)
	case errors.Is(failed, io.EOF):
		return fmt.Errorf("%s closes the connection without an answer: a proxy with no server behind it, or the server is stopping: %w", address, err)
	}
	return err
}

// askPlainly sends PING without TLS and returns the beginning of the answer's first line.
func askPlainly(opt *rueidis.ClientOption, address string, wait time.Duration) (answer string, err error) {
	conn, err := connectPlainly(opt, address, wait)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, answerLength)).ReadString('\n')
	if line == "" && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF // a reset connection was closed, too
	}
	return strings.TrimRight(line, "\r\n"), err
}

// speaksTLS reports whether a TLS handshake succeeds at an address, whatever the certificate.
func speaksTLS(opt *rueidis.ClientOption, address string, wait time.Duration) bool {
	conn, err := connectPlainly(opt, address, wait)
	if err != nil {
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) // nothing is sent over it
	var alert tls.AlertError                                                            // whoever wants a certificate of the client speaks TLS, too
	return err == nil || errors.As(err, &alert)
}

// connectPlainly connects as the client does, without TLS.
func connectPlainly(opt *rueidis.ClientOption, address string, wait time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	switch {
	case opt.DialCtxFn != nil:
		return opt.DialCtxFn(ctx, address, &opt.Dialer, nil)
	case opt.DialFn != nil:
		return opt.DialFn(address, &opt.Dialer, nil)
	}
	return opt.Dialer.DialContext(ctx, "tcp", address)
}

// isRedis reports whether an answer to PING is one that a Redis server gives: +PONG, or an error with a code.
func isRedis(answer string) bool {
	if answer == "+PONG" {
		return true
	}
	code, isError := strings.CutPrefix(answer, "-")
	code, _, _ = strings.Cut(code, " ")
	return isError && code != "" && strings.ToUpper(code) == code
}

// isAlert reports whether an answer is an alert of TLS: its type is 21, the major version 3.
func isAlert(answer string) bool { return strings.HasPrefix(answer, "\x15\x03") }
