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
	"syscall"
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

// hello is how TLS begins, and a line. Who takes TLS waits for the rest; a server that knows only plain text refuses it as a command.
const hello = "\x16\x03\x01\r\n"

// Diagnose adds to an error of connecting what is behind it, where the client library does not say: it asks the first address, which
// with Sentinel is a sentinel's, in plain text, and if that leaves it open, by TLS. The result matches api.ErrNotRedis if what is
// there is not Redis, or if one side speaks TLS and the other does not, and if that explains the error: what passes by itself does not
// match it. Error replies of a server, and connections that were not made, say enough by themselves. It takes up to four seconds.
func Diagnose(opt rueidis.ClientOption, err error) error {
	field := "TLSConfig"
	if opt.Sentinel.MasterSet != "" {
		opt.Dialer, opt.TLSConfig, field = opt.Sentinel.Dialer, opt.Sentinel.TLSConfig, "Sentinel.TLSConfig"
	}
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
	answer, failed := askPlainly(&opt, address, "PING\r\n", wait)
	secure := opt.TLSConfig != nil
	switch {
	case secure && (isPlain(err) || isTimeout(err)) && isRedis(answer) && !isGeneral(answer) && lacksTLS(&opt, address, wait):
		return fmt.Errorf("%w: %s speaks Redis without TLS, and the client's %s is set: leave it out, or use the server's TLS port (%w)",
			api.ErrNotRedis, address, field, err)
	case isRedis(answer):
		return fmt.Errorf("%s answers %q: %w", address, answer, err)
	case !secure && (isForeign(err) || isClosed(err)) && (isAlert(answer) || errors.Is(failed, io.EOF) && wantsTLS(&opt, address, wait)):
		return fmt.Errorf("%w: %s speaks TLS, and the client does not: set %s (%w)", api.ErrNotRedis, address, field, err)
	case secure && strings.Contains(err.Error(), "tls: ") && (answer == "" || isAlert(answer)):
		return fmt.Errorf("the TLS handshake with %s fails: %w", address, err)
	case isAlert(answer):
		return err
	case answer != "" && (isForeign(err) || !secure && isClosed(err) || secure && isPlain(err) && !handshakes(&opt, address, wait)):
		return fmt.Errorf("%w: %s is another kind of server, it answers %q: check the address and the port (%w)",
			api.ErrNotRedis, address, answer, err)
	case answer != "":
		return fmt.Errorf("%s answers %q: %w", address, answer, err)
	case isTimeout(err) && errors.Is(failed, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s accepts connections and does not answer: the server hangs, or is not Redis: %w", address, err)
	case isClosed(err) && errors.Is(failed, io.EOF) && !(secure && handshakes(&opt, address, wait)):
		return fmt.Errorf("%s closes the connection without an answer: a proxy with no server behind it, or the server is stopping: %w", address, err)
	}
	return err
}

// lacksTLS reports whether a server that answers in plain text takes nothing else, and the client would have spoken TLS to it.
func lacksTLS(opt *rueidis.ClientOption, address string, wait time.Duration) bool {
	answer, _ := askPlainly(opt, address, hello, wait)
	taken := isRedis(answer) && (!isGeneral(answer) || strings.HasPrefix(answer, "-ERR unknown command"))
	return taken && usesConfig(opt, address, wait) && !handshakes(opt, address, wait)
}

// wantsTLS reports whether a server that closed a plain connection answers by TLS, and still closes plain ones: a server that takes
// both and was away for a moment is not one.
func wantsTLS(opt *rueidis.ClientOption, address string, wait time.Duration) bool {
	if !answersTLS(opt, address, wait) {
		return false
	}
	answer, failed := askPlainly(opt, address, "PING\r\n", wait)
	return isAlert(answer) || answer == "" && errors.Is(failed, io.EOF)
}

// usesConfig reports whether a dialer of the user makes TLS with the configuration that it gets: one with which no handshake can
// begin makes it fail. What it sends if it ignores that says nothing about the server.
func usesConfig(opt *rueidis.ClientOption, address string, wait time.Duration) bool {
	if opt.DialCtxFn == nil && opt.DialFn == nil {
		return true
	}
	conn, err := connect(opt, address, wait, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12})
	if err == nil {
		conn.Close()
		return false
	}
	return strings.Contains(err.Error(), "tls: no supported versions")
}

// askPlainly sends a question without TLS and returns the beginning of the answer's first line.
func askPlainly(opt *rueidis.ClientOption, address, question string, wait time.Duration) (answer string, err error) {
	conn, err := connect(opt, address, wait, nil)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(wait)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, question); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, answerLength)).ReadString('\n')
	if line == "" && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF // a reset connection was closed, too
	}
	return strings.TrimRight(line, "\r\n"), err
}

// handshakes reports whether a TLS handshake succeeds at an address, whatever the certificate.
func handshakes(opt *rueidis.ClientOption, address string, wait time.Duration) bool {
	return byTLS(opt, address, wait, func(*tls.Conn) error { return nil })
}

// answersTLS reports whether a server answers PING by TLS, whatever it says. A handshake may be a proxy's, with no server behind it.
func answersTLS(opt *rueidis.ClientOption, address string, wait time.Duration) bool {
	return byTLS(opt, address, wait, func(conn *tls.Conn) error {
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			return err
		}
		_, err := conn.Read(make([]byte, 1))
		return err
	})
}

// byTLS makes a TLS handshake, whatever the certificate, and does something then. It reports whether both succeeded.
func byTLS(opt *rueidis.ClientOption, address string, wait time.Duration, do func(*tls.Conn) error) bool {
	raw, err := connect(opt, address, wait, nil)
	if err != nil {
		return false
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(wait)); err != nil {
		return false
	}
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true}) // no secret is sent over it
	if err = conn.Handshake(); err == nil {
		err = do(conn)
	}
	return err == nil || isRemoteAlert(err) // whoever wants a certificate of the client speaks TLS, too
}

// connect connects as the client does, with a TLS configuration or, where that is nil, without TLS.
func connect(opt *rueidis.ClientOption, address string, wait time.Duration, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	switch {
	case opt.DialCtxFn != nil:
		return opt.DialCtxFn(ctx, address, &opt.Dialer, config)
	case opt.DialFn != nil:
		return opt.DialFn(address, &opt.Dialer, config)
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

// isGeneral reports whether an answer may be a proxy's, or that of a server that is full, to whatever is asked.
func isGeneral(answer string) bool { return strings.HasPrefix(answer, "-ERR ") }

// isRemoteAlert reports whether an error is an alert that the other side sent.
func isRemoteAlert(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error"
}

// isPlain reports whether an error of connecting by TLS is that the answer was not TLS.
func isPlain(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header)
}

// isForeign reports whether an error of the client library is that the answer was not Redis's.
func isForeign(err error) bool {
	return strings.Contains(err.Error(), "received unknown message type") || strings.Contains(err.Error(), "received unexpected")
}

// isTimeout reports whether an error is that an answer did not come in time.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isClosed reports whether an error is that the other side closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
