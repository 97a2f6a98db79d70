package notice

import (
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parts is a reader that returns a text in given pieces.
type parts struct {
	text string
	ends []int
	at   int
}

func (p *parts) Read(b []byte) (int, error) {
	if p.at == len(p.text) {
		return 0, io.EOF
	}
	end := len(p.text)
	for _, e := range p.ends {
		if e > p.at {
			end = min(end, e)
		}
	}
	n := copy(b, p.text[p.at:end])
	p.at += n
	return n, nil
}

func readAll(t *testing.T, text string) (all []value) {
	t.Helper()
	r := newReader(strings.NewReader(text))
	for {
		v, err := r.read()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err, "%q", text)
		all = append(all, v)
	}
}

func TestReaderReadsEveryType(t *testing.T) {
	for text, want := range map[string]value{
		"+OK\r\n":                         {kind: '+', text: "OK"},
		"-ERR no\r\n":                     {kind: '-', text: "ERR no"},
		":-12\r\n":                        {kind: ':', text: "-12"},
		":many\r\n":                       {kind: ':', text: "many"},
		",1.5\r\n":                        {kind: ',', text: "1.5"},
		"(123456789012345678901\r\n":      {kind: '(', text: "123456789012345678901"},
		"#t\r\n":                          {kind: '#', text: "t"},
		"_\r\n":                           {kind: '_', null: true},
		"$-1\r\n":                         {kind: '$', null: true},
		"*-1\r\n":                         {kind: '*', null: true},
		"$0\r\n\r\n":                      {kind: '$'},
		"$4\r\na\r\nb\r\n":                {kind: '$', text: "a\r\nb"},
		"!3\r\nERR\r\n":                   {kind: '!', text: "ERR"},
		"=6\r\ntxt:ab\r\n":                {kind: '=', text: "ab"},
		"*0\r\n":                          {kind: '*'},
		"*2\r\n:1\r\n+a\r\n":              {kind: '*', elements: []value{{kind: ':', text: "1"}, {kind: '+', text: "a"}}},
		"~1\r\n:1\r\n":                    {kind: '~', elements: []value{{kind: ':', text: "1"}}},
		"%1\r\n+k\r\n:1\r\n":              {kind: '%', elements: []value{{kind: '+', text: "k"}, {kind: ':', text: "1"}}},
		">1\r\n+x\r\n":                    {kind: '>', elements: []value{{kind: '+', text: "x"}}},
		"|1\r\n+k\r\n*1\r\n:1\r\n+OK\r\n": {kind: '+', text: "OK"},
		"*1\r\n|1\r\n+k\r\n:9\r\n|0\r\n$1\r\nv\r\n": {kind: '*', elements: []value{{kind: '$', text: "v"}}},
	} {
		require.Equal(t, []value{want}, readAll(t, text), "%q", text)
	}
}

func TestReaderRefusesWhatIsNotRESP3(t *testing.T) {
	for _, text := range []string{
		"\r\n", "OK\r\n", "+OK\n", "$3\r\nabcd\r\n", "$x\r\n", "$-2\r\n", "*-5\r\n", "*1e3\r\n", "?\r\n", "$?\r\n;1\r\na\r\n", ".\r\n",
		"$99999999999999999999\r\n", "\x00\x01\x02\r\n",
		strings.Repeat("*1\r\n", maxDepth+2) + ":1\r\n",
		"*" + strconv.Itoa(maxElements+1) + "\r\n",
		"%" + strconv.Itoa(maxElements/2+1) + "\r\n",
		"$" + strconv.Itoa(maxBytes) + "\r\n",
		"+" + strings.Repeat("x", 2*maxBytes),
		"*2\r\n$" + strconv.Itoa(maxBytes-100) + "\r\n" + strings.Repeat("x", maxBytes-100) + "\r\n+" + strings.Repeat("x", 200) + "\r\n",
		strings.Repeat("|0\r\n", maxBytes),
	} {
		_, err := newReader(strings.NewReader(text)).read()
		require.ErrorIs(t, err, errProtocol, "%.60q", text)
	}
}

func TestReaderTellsAnEndFromNonsense(t *testing.T) {
	whole := ">3\r\n+MIGRATED\r\n:9\r\n$1\r\n1\r\n"
	for cut := range len(whole) {
		_, err := newReader(strings.NewReader(whole[:cut])).read()
		require.NotErrorIs(t, err, errProtocol, "%q", whole[:cut])
		require.Error(t, err, "%q", whole[:cut])
	}
}

// A list of every slot separately, the longest possible notice, is within the limits.
func TestReaderTakesTheLongestNotice(t *testing.T) {
	var list []string
	for slot := range 16384 {
		list = append(list, strconv.Itoa(slot))
	}
	all := readAll(t, ">3\r\n+SMIGRATING\r\n:1\r\n+"+strings.Join(list, ",")+"\r\n")
	n, ok := parse(&all[0])
	require.True(t, ok)
	require.Equal(t, 16384, n.Slots.Len())
}

// encode writes a value as a server would.
func encode(v *value) string {
	switch {
	case v.null:
		return "_\r\n"
	case v.kind == '$' || v.kind == '!':
		return string(v.kind) + strconv.Itoa(len(v.text)) + "\r\n" + v.text + "\r\n"
	case v.kind == '=':
		return "=" + strconv.Itoa(len(v.text)+4) + "\r\ntxt:" + v.text + "\r\n"
	case strings.ContainsRune("*~>%", rune(v.kind)):
		n := len(v.elements)
		if v.kind == '%' {
			n /= 2
		}
		out := string(v.kind) + strconv.Itoa(n) + "\r\n"
		for i := range v.elements {
			out += encode(&v.elements[i])
		}
		return out
	}
	return string(v.kind) + v.text + "\r\n"
}

// FuzzReader feeds bytes in pieces: whatever they are, reading ends, stays within its limits, gives the same however the
// bytes are cut, and what was read reads the same when written again. Parsing what was read never panics.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"+OK\r\n", ">4\r\n+MOVING\r\n:7\r\n:15\r\n+10.0.0.9:6379\r\n", ">3\r\n+SMIGRATED\r\n:17\r\n*1\r\n*3\r\n+a:6379\r\n+b:6379\r\n+123,5000-7000\r\n",
		"%1\r\n+a\r\n_\r\n|1\r\n+k\r\n+v\r\n$3\r\nabc\r\n", "*-1\r\n$-1\r\n", "=5\r\ntxt:a\r\n(1\r\n,1e400\r\n#f\r\n~1\r\n!1\r\nE\r\n",
		">3\r\n+MIGRATING\r\n,nan\r\n:99999999999999999999\r\n", "*9\r\n*9\r\n*9\r\n*9\r\n",
	} {
		f.Add(s, 1)
	}
	f.Fuzz(func(t *testing.T, text string, cut int) {
		whole, pieces := newReader(strings.NewReader(text)), newReader(&parts{text: text, ends: []int{cut, cut + 1, cut + 3}})
		for {
			v, err := whole.read()
			other, otherErr := pieces.read()
			require.Equal(t, v, other)
			require.Equal(t, err == nil, otherErr == nil)
			if err != nil {
				return
			}
			if !v.isNullInside() {
				again, err := newReader(strings.NewReader(encode(&v))).read()
				require.NoError(t, err)
				require.Equal(t, v, again)
			}
			if n, ok := parse(&v); ok {
				require.NotZero(t, n.Kind)
				require.GreaterOrEqual(t, n.Seq, int64(-1))
			}
		}
	})
}

// isNullInside reports whether it contains a null, which has several encodings, or a verbatim string, whose format is not
// kept.
func (v *value) isNullInside() bool {
	if v.null || v.kind == '=' {
		return true
	}
	for i := range v.elements {
		if v.elements[i].isNullInside() {
			return true
		}
	}
	return false
}
