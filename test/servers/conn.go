package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

const maxReply = 64 << 20

// Call runs one command on its own connection and returns a reply that is a string or a number. It adds no other command to the
// server's statistics, except AUTH if there is a password. Nothing is redirected or retried; ctx is the only deadline.
func (s *Server) Call(ctx context.Context, args ...string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// A deadline in the past wakes a blocked read or write.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	r := bufio.NewReader(conn)
	if s.opts.Password != "" {
		if _, err := exchange(conn, r, "AUTH", s.opts.Password); err != nil {
			return "", ctxError(ctx, err)
		}
	}
	reply, err := exchange(conn, r, args...)
	return reply, ctxError(ctx, err)
}

// ctxError adds the cause of the end of ctx to the timeout that resulted from it.
func ctxError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

func exchange(w io.Writer, r *bufio.Reader, args ...string) (string, error) {
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := w.Write(request); err != nil {
		return "", err
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if len(line) < 3 {
		return "", fmt.Errorf("servers: %s: malformed reply %q", args[0], line)
	}
	kind, rest := line[0], line[1:len(line)-2]
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", fmt.Errorf("servers: %s: %s", args[0], rest)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || n > maxReply {
			return "", fmt.Errorf("servers: %s: malformed reply %q", args[0], line)
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(r, body); err != nil {
			return "", err
		}
		return string(body[:n]), nil
	default:
		return "", fmt.Errorf("servers: %s: unexpected reply %q", args[0], line)
	}
}
