package memory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// ranging are the options of ZRANGE and of the commands that it took the place of.
type ranging struct {
	kind          string // BYSCORE, BYLEX, or empty
	from, to      string
	reverse       bool
	scores        bool
	limited       bool
	offset, count int
}

func parseRanging(args []string) (r ranging, err stream.Error) {
	name := strings.ToUpper(args[0])
	whole := name == "ZRANGE"
	r.from, r.to, r.count = args[2], args[3], -1
	rest, reverse := strings.CutPrefix(name, "ZREVRANGE")
	if !reverse {
		rest = strings.TrimPrefix(name, "ZRANGE")
	}
	r.kind, r.reverse = rest, reverse
	for i := 4; i < len(args); i++ {
		switch option := strings.ToUpper(args[i]); {
		case option == "WITHSCORES":
			r.scores = true
		case option == "LIMIT" && i+2 < len(args):
			var err1, err2 error
			r.offset, err1 = strconv.Atoi(args[i+1])
			r.count, err2 = strconv.Atoi(args[i+2])
			if err1 != nil || err2 != nil {
				return r, errInteger
			}
			r.limited = true
			i += 2
		case whole && option == "REV":
			r.reverse = true
		case whole && (option == "BYSCORE" || option == "BYLEX"):
			r.kind = option
		default:
			return r, errSyntax
		}
	}
	switch {
	case r.limited && r.kind == "":
		return r, "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
	case r.scores && r.kind == "BYLEX":
		return r, "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
	}
	if r.reverse && r.kind != "" {
		r.from, r.to = r.to, r.from
	}
	return r, ""
}

func zrange(_ *dataset, z *sortedSet, args []string) stream.Reply {
	r, err := parseRanging(args)
	if err != "" {
		return err
	}
	first, last, err := z.positions(r.from, r.to, r.kind)
	if err != "" {
		return err
	}
	if z == nil {
		return []stream.Reply{}
	}
	found := z.order[first:last]
	if r.reverse {
		if r.kind == "" { // indexes count from the end, too
			n := len(z.order)
			found = z.order[n-last : n-first]
		}
		found = slices.Clone(found)
		slices.Reverse(found)
	}
	if r.limited {
		found = r.limit(found)
	}
	if r.scores {
		return withScores(slices.Clone(found))
	}
	members := make([]stream.Reply, len(found))
	for i, s := range found {
		members[i] = s.member
	}
	return members
}

// limit returns the part that LIMIT leaves: of a negative offset nothing, of a negative count all.
func (r ranging) limit(found []scored) []scored {
	if r.offset < 0 || r.offset >= len(found) {
		return nil
	}
	found = found[r.offset:]
	if r.count >= 0 {
		found = found[:min(r.count, len(found))]
	}
	return found
}

// withScores is a reply of members and their scores: pairs in version 3 of the protocol, flat in version 2.
type withScores []scored

// double is a floating-point number: a bulk string in version 2 of the protocol.
type double float64

// formatDouble returns a number as printf does with %.17g.
func formatDouble(n float64) string {
	text := strconv.FormatFloat(n, 'g', 17, 64)
	return strings.ToLower(strings.TrimPrefix(text, "+"))
}
