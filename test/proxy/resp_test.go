package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var smallLimits = limits{line: 64 << 10, depth: 8, elements: 1000, bulk: 1 << 10, frame: 128 << 10}

// value draws an encoded reply.
func value(t *rapid.T, depth int) string {
	kinds := "+-:_#,($!="
	if depth > 0 {
		kinds += "*~%|>"
	}
	kind := string(rapid.SampledFrom([]byte(kinds)).Draw(t, "kind"))
	switch kind {
	case "$", "!", "=":
		if rapid.IntRange(0, 9).Draw(t, "null") == 0 {
			return kind + "-1\r\n"
		}
		text := string(rapid.SliceOfN(rapid.SampledFrom([]byte("\r\n$*>ab\x00")), 0, 20).Draw(t, "bulk"))
		return fmt.Sprintf("%s%d\r\n%s\r\n", kind, len(text), text)
	case "*", "~", "%", "|", ">":
		n := rapid.IntRange(-1, 3).Draw(t, "n")
		var b strings.Builder
		fmt.Fprintf(&b, "%s%d\r\n", kind, n)
		if kind == "%" || kind == "|" {
			n *= 2
		}
		for range n {
			b.WriteString(value(t, depth-1))
		}
		if kind == "|" {
			b.WriteString(value(t, depth-1))
		}
		return b.String()
	default:
		return kind + rapid.StringMatching(`[a-z0-9 ]{0,9}`).Draw(t, "line") + "\r\n"
	}
}

func TestRepliesAreSplitWhereTheyEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []string
		for range rapid.IntRange(1, 5).Draw(t, "replies") {
			want = append(want, value(t, 3))
		}
		stream := strings.Join(want, "")
		for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream))} {
			d := newDecoder(r)
			for _, w := range want {
				raw, err := d.reply()
				if err != nil || string(raw) != w {
					t.Fatalf("got %q, %v, want %q", raw, err, w)
				}
			}
			if _, err := d.reply(); err != io.EOF {
				t.Fatalf("got %v at the end", err)
			}
		}
		// A last reply that is cut short anywhere is not accepted.
		last := want[len(want)-1]
		cut := rapid.IntRange(1, len(last)-1).Draw(t, "cut")
		if raw, err := newDecoder(strings.NewReader(last[:cut])).reply(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("got %q, %v of %q", raw, err, last[:cut])
		}
	})
}

func TestRequests(t *testing.T) {
	type result struct{ raw, args string }
	stream := "*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\n" + "PING  hello\r\n" + "\r\n" + "*0\r\n" + "*-1\r\n" + "QUIT\n" + "*1\r\n$0\r\n\r\n"
	var got []result
	d := newDecoder(iotest.OneByteReader(strings.NewReader(stream)))
	for {
		raw, args, err := d.request()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		got = append(got, result{string(raw), string(bytes.Join(args, []byte("|")))})
	}
	require.Equal(t, []result{
		{"*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\n", "ECHO|a\r\nb"},
		{"PING  hello\r\n", "PING|hello"},
		{"\r\n", ""},
		{"*0\r\n", ""},
		{"*-1\r\n", ""},
		{"QUIT\n", "QUIT"},
		{"*1\r\n$0\r\n\r\n", ""},
	}, got)
}

func TestLimitsAndMalformedInput(t *testing.T) {
	deep := strings.Repeat("*1\r\n", smallLimits.depth)
	reply := func(d *decoder) error { _, err := d.reply(); return err }
	request := func(d *decoder) error { _, _, err := d.request(); return err }
	for name, tc := range map[string]struct {
		read func(*decoder) error
		text string
		want string // in the error; "" for none
	}{
		"as deep as may be":   {reply, deep + ":1\r\n", ""},
		"too deep":            {reply, deep + "*1\r\n:1\r\n", "nested deeper"},
		"long bulk":           {reply, "$1025\r\n", "above the limit"},
		"many elements":       {reply, "*1001\r\n", "above the limit"},
		"many in all":         {reply, "*1000\r\n" + strings.Repeat(":1\r\n", 1000), "more than"},
		"attributes on end":   {reply, strings.Repeat("|0\r\n", 1001), "more than"},
		"long line":           {reply, "+" + strings.Repeat("x", 64<<10) + "\r\n", "line longer"},
		"long frame":          {reply, "*200\r\n" + strings.Repeat("$1000\r\n"+strings.Repeat("x", 1000)+"\r\n", 200), "frame longer"},
		"unknown type":        {reply, "?1\r\n", "unknown type"},
		"streamed string":     {reply, "$?\r\n", "length"},
		"negative length":     {reply, "*-2\r\n", "length"},
		"bulk without an end": {reply, "$1\r\nabc", "without an end"},
		"empty line":          {reply, "\r\n", "empty line"},
		"argument of no type": {request, "*1\r\nPING\r\n", "argument starts with"},
		"null argument":       {request, "*1\r\n$-1\r\n", "null argument"},
		"long argument":       {request, "*1\r\n$1025\r\n", "above the limit"},
		"many arguments":      {request, "*1001\r\n", "above the limit"},
		"long inline":         {request, strings.Repeat("x", 64<<10) + "\r\n", "line longer"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecoder(strings.NewReader(tc.text))
			d.lim = smallLimits
			err := tc.read(d)
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, errProtocol)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	allocated := testing.AllocsPerRun(10, func() {
		d := newDecoder(strings.NewReader(fmt.Sprintf("*%d\r\n$%d\r\nx", defaultLimits.elements, defaultLimits.bulk)))
		if _, _, err := d.request(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		if cap(d.buf) > 1<<20 {
			t.Errorf("%d bytes taken", cap(d.buf))
		}
	})
	require.Less(t, allocated, 100.0)
}

func TestLeading(t *testing.T) {
	require.Equal(t, []string{"message", "ch"}, leading([]byte(">3\r\n+message\r\n$2\r\nch\r\n:1\r\n"), 2))
	require.Equal(t, []string{"unsubscribe"}, leading([]byte("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"), 2))
	require.Empty(t, leading([]byte("*0\r\n"), 2))
	require.Empty(t, leading([]byte("*1\r\n:1\r\n"), 2))
}

// Accepted replies are a prefix of the input, byte for byte, are accepted again, and stay within the limits.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", "-ERR x\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*2\r\n:1\r\n*1\r\n#t\r\n", "%1\r\n+a\r\n,1.5\r\n", "|1\r\n+a\r\n+b\r\n~1\r\n_\r\n",
		">3\r\n+MOVING\r\n:7\r\n:15\r\n", "=7\r\ntxt:abc\r\n", "(123\r\n", "!3\r\nERR\r\n", "*1000000000\r\n", "$?\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDecoder(bytes.NewReader(data))
		d.lim = smallLimits
		rest := data
		var m matcher
		m.push(pending{confirm: "subscribe"})
		for {
			raw, err := d.reply()
			if err != nil {
				require.True(t, errors.Is(err, errProtocol) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), err)
				return
			}
			require.NotEmpty(t, raw)
			require.LessOrEqual(t, len(raw), smallLimits.frame)
			require.True(t, bytes.HasPrefix(rest, raw))
			rest = rest[len(raw):]
			again := newDecoder(bytes.NewReader(raw))
			second, err := again.reply()
			require.NoError(t, err)
			require.Equal(t, raw, second)
			m.take(raw)
		}
	})
}

// Like FuzzReply; besides, every argument is part of the raw bytes.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"*1\r\n$4\r\nPING\r\n", "PING\r\n", "*2\r\n$7\r\nEVALSHA\r\n$2\r\nab\r\nPING\n", "\r\n", "*0\r\n", "*1\r\n$0\r\n\r\n", "*-1\r\n", "*9999999\r\n",
		"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n",
	} {
		f.Add([]byte(seed))
	}
	p := &Proxy{}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDecoder(bytes.NewReader(data))
		d.lim = smallLimits
		rest := data
		for {
			raw, args, err := d.request()
			if err != nil {
				require.True(t, errors.Is(err, errProtocol) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), err)
				return
			}
			require.NotEmpty(t, raw)
			require.True(t, bytes.HasPrefix(rest, raw))
			rest = rest[len(raw):]
			for _, arg := range args {
				require.True(t, bytes.Contains(raw, arg))
			}
			if len(args) > 0 {
				r := &request{raw: raw, args: args}
				require.NotEmpty(t, p.names(r))
				_, _ = r.refused(), r.expect()
			}
		}
	})
}
