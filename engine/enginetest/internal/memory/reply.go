package memory

import (
	"fmt"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// encode returns a reply as it is on the wire, in version 2 or 3 of the protocol.
func encode(r stream.Reply, resp3 bool) string {
	var b strings.Builder
	encoder{&b, resp3}.write(r)
	return b.String()
}

type encoder struct {
	*strings.Builder
	resp3 bool
}

func (e encoder) write(r stream.Reply) {
	switch r := r.(type) {
	case int64:
		fmt.Fprintf(e, ":%d\r\n", r)
	case string:
		fmt.Fprintf(e, "$%d\r\n%s\r\n", len(r), r)
	case stream.Simple:
		fmt.Fprintf(e, "+%s\r\n", string(r))
	case stream.Error:
		fmt.Fprintf(e, "-%s\r\n", string(r))
	case stream.Null:
		e.null("$-1\r\n")
	case stream.NullArray:
		e.null("*-1\r\n")
	case []stream.Reply:
		e.all("*", len(r), r)
	case stream.Map:
		if e.resp3 {
			e.all("%", len(r)/2, r)
		} else {
			e.all("*", len(r), r)
		}
	case stream.MapOfStreams:
		if e.resp3 {
			e.all("%", len(r)/2, r)
			return
		}
		fmt.Fprintf(e, "*%d\r\n", len(r)/2)
		for i := 0; i < len(r); i += 2 {
			e.all("*", 2, r[i:i+2])
		}
	default:
		panic(fmt.Sprintf("memory: a reply of type %T", r))
	}
}

func (e encoder) null(resp2 string) {
	if e.resp3 {
		resp2 = "_\r\n"
	}
	e.WriteString(resp2)
}

func (e encoder) all(kind string, length int, items []stream.Reply) {
	fmt.Fprintf(e, "%s%d\r\n", kind, length)
	for _, item := range items {
		e.write(item)
	}
}
