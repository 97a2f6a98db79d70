package twin

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// value is a reply. Its kind is the byte that introduces it on the wire.
type value struct {
	kind  byte
	text  string
	items []value // of arrays, sets, maps (keys and values in turn) and pushes
}

// read reads one reply, and appends it to raw as it is on the wire.
func read(r *bufio.Reader, raw *[]byte) (value, error) {
	line, err := r.ReadString('\n')
	*raw = append(*raw, line...)
	if err != nil {
		return value{}, err
	}
	v := value{kind: line[0], text: strings.TrimSuffix(line[1:], "\r\n")}
	switch v.kind {
	case '$', '=', '!':
		n, err := strconv.Atoi(v.text)
		if err != nil || n < 0 {
			return value{kind: '_', text: string(v.kind)}, err
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return value{}, err
		}
		*raw = append(*raw, b...)
		v.text = string(b[:n])
	case '*', '~', '%', '>':
		n, err := strconv.Atoi(v.text)
		if err != nil || n < 0 {
			return value{kind: '_', text: string(v.kind)}, err
		}
		if v.kind == '%' {
			n *= 2
		}
		v.text = ""
		for range n {
			item, err := read(r, raw)
			if err != nil {
				return value{}, err
			}
			v.items = append(v.items, item)
		}
	}
	return v, nil
}

// decode reads the first reply of b that is no push; a push may be between replies.
func decode(b []byte) (value, error) {
	r := bufio.NewReader(strings.NewReader(string(b)))
	for {
		var raw []byte
		v, err := read(r, &raw)
		if err != nil || v.kind != '>' {
			return v, err
		}
	}
}

func (v value) String() string {
	if v.kind == '_' {
		return strings.TrimSpace("null " + v.text) // on the wire the nulls of arrays and strings differ
	}
	if v.items == nil && !strings.ContainsRune("*~%>", rune(v.kind)) {
		return fmt.Sprintf("%c%q", v.kind, v.text)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%c[", v.kind)
	for i, item := range v.items {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(item.String())
	}
	return b.String() + "]"
}

// unordered returns v with all of its arrays sorted.
func (v value) unordered() value {
	items := make([]value, len(v.items))
	for i, item := range v.items {
		items[i] = item.unordered()
	}
	v.items = items
	return v.sorted(1)
}

// sorted returns v with its items, taken so many at a time, in a fixed order.
func (v value) sorted(size int) value {
	if len(v.items)%size != 0 {
		return v
	}
	chunks := slices.Collect(slices.Chunk(v.items, size))
	slices.SortFunc(chunks, func(a, b []value) int { return cmp.Compare(a[0].String(), b[0].String()) })
	v.items = slices.Concat(chunks...)
	return v
}
