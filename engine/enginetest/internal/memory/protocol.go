package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// What a client may send, as in Redis: it would not be meant beyond.
const (
	maxArgs  = 1 << 20
	maxBulk  = 512 << 20
	maxLine  = 64 << 10
	sizeStep = 1 << 20 // of a bulk string: a length that was only claimed costs no more memory
)

// protocolError is what a client gets before its connection is closed.
type protocolError string

func (e protocolError) Error() string { return "ERR Protocol error: " + string(e) }

// readCommand reads an array of bulk strings, of at least one.
func readCommand(r *bufio.Reader) ([]string, error) {
	for {
		n, err := readLength(r, '*', maxArgs, "invalid multibulk length")
		if err != nil {
			return nil, err
		}
		if n > 0 {
			return readArgs(r, n)
		}
	}
}

func readArgs(r *bufio.Reader, n int) ([]string, error) {
	args := make([]string, 0, min(n, 1024))
	for range n {
		size, err := readLength(r, '$', maxBulk, "invalid bulk length")
		if err == nil && size < 0 {
			err = protocolError("invalid bulk length")
		}
		if err != nil {
			return nil, err
		}
		arg, err := readBulk(r, size)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

func readBulk(r *bufio.Reader, size int) (string, error) {
	var text bytes.Buffer
	text.Grow(min(size+2, sizeStep))
	if _, err := io.CopyN(&text, r, int64(size)+2); err != nil {
		return "", err
	}
	if !bytes.HasSuffix(text.Bytes(), []byte("\r\n")) {
		return "", protocolError("no end of line after a bulk string")
	}
	return string(text.Bytes()[:size]), nil
}

func readLength(r *bufio.Reader, kind byte, most int, complaint string) (int, error) {
	line, err := readLine(r)
	if err != nil {
		return 0, err
	}
	if len(line) == 0 || line[0] != kind {
		return 0, protocolError(fmt.Sprintf("expected '%c', got '%.1s'", kind, line))
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n > most {
		return 0, protocolError(complaint)
	}
	return n, nil
}

// readLine returns a line without its end, until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, protocolError("too big mbulk count string")
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}
