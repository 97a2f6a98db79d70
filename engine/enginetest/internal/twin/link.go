package twin

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
)

// link is a connection to a real server. Whoever asks reads the answer himself: a goroutine that waits for a socket does not let
// the time of a bubble pass, so time stands still meanwhile.
type link struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(address string) (*link, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("twin: %w", err)
	}
	return &link{conn, bufio.NewReader(conn)}, nil
}

func (l *link) close() { l.conn.Close() }

// do runs a command and returns the reply, also as it is on the wire.
func (l *link) do(args []string) (v value, raw []byte, err error) {
	b := append(strconv.AppendInt([]byte("*"), int64(len(args)), 10), "\r\n"...)
	for _, a := range args {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(a)), 10), "\r\n"...)
		b = append(append(b, a...), "\r\n"...)
	}
	if _, err := l.conn.Write(b); err != nil {
		return value{}, nil, fmt.Errorf("twin: %w", err)
	}
	if v, err = read(l.r, &raw); err != nil {
		err = fmt.Errorf("twin: %w", err)
	}
	return v, raw, err
}

// all runs commands of which each must succeed.
func (l *link) all(commands ...[]string) error {
	for _, args := range commands {
		v, _, err := l.do(args)
		if err == nil && v.kind == '-' {
			err = fmt.Errorf("twin: %v: %s", args, v.text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
