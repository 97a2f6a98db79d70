package stream

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestRandomHistories runs the same commands, valid and not, here and on a server, and compares each reply, and after each what the
// server says of the whole stream. Few keys, names and IDs meet often.
func TestRandomHistories(t *testing.T) {
	p := newPair(t)
	// A step is drawn by a generator of its own: the library shrinks a failure by leaving steps out, those of seed zero. Its own
	// numbers are mostly small, which would leave out much.
	const steps = 60
	bits := rapid.SliceOfN(rapid.Bool(), 20, 20)
	rapid.Check(t, func(t *rapid.T) {
		p.reset(t)
		for range steps {
			seed := uint64(0)
			for _, bit := range bits.Draw(t, "step") {
				seed *= 2
				if bit {
					seed++
				}
			}
			if seed > 0 {
				p.step(t, &history{rand.New(rand.NewPCG(seed, 0)), p, nil})
			}
		}
	})
	t.Logf("compared %d replies", p.compared)
}

func (p *pair) step(t *rapid.T, h *history) {
	switch h.IntN(30) {
	case 0:
		if h.one(10) {
			p.del(t, h.of("a", "b"))
		}
	case 1:
		p.clone(h.key())
	case 2, 3, 4, 5, 6, 7:
		p.wait(t, time.Duration(h.IntN(6)-1)*time.Millisecond)
	case 8:
		args := h.xadd()
		for range h.IntN(130) {
			p.do(t, false, args...)
		}
	default:
		args := h.spoil(h.command())
		t.Logf("%q", args)
		p.do(t, h.one(2), args...)
	}
	for _, key := range h.touched {
		p.do(t, h.one(2), "XINFO", "STREAM", key)
		if h.one(3) {
			p.do(t, h.one(2), "XINFO", "STREAM", key, "FULL", "COUNT", "0")
		}
	}
}

// clone goes on with a copy of a stream, and ruins the original.
func (p *pair) clone(key string) {
	s := p.keys[key]
	if s == nil {
		return
	}
	p.keys[key] = s.Clone()
	old := keyspace{key: s}
	for name, g := range s.groups {
		for consumer := range g.consumers {
			Do(old, p.now, []string{"XAUTOCLAIM", key, name, "other", "0", "-", "COUNT", "2"})
			Do(old, p.now, []string{"XGROUP", "DELCONSUMER", key, name, consumer})
		}
	}
	for e := range s.entries(minID, maxID) {
		Do(old, p.now, []string{"XDEL", key, e.id.String()})
		break
	}
	Do(old, p.now, []string{"XTRIM", key, "MAXLEN", "0"})
	Do(old, p.now, []string{"XADD", key, "*", "other", "other"})
}

// history draws the next command.
type history struct {
	*rand.Rand
	pair    *pair
	touched []string
}

func (h *history) now() int64 { return h.pair.now.UnixMilli() }

// between returns a number, both ends included.
func (h *history) between(from, to int) string { return strconv.Itoa(from + h.IntN(to-from+1)) }

// near returns a time in milliseconds.
func (h *history) near(before, after int) string {
	return strconv.FormatInt(h.now()-int64(before)+int64(h.IntN(before+after+1)), 10)
}

// one is true once in so many times.
func (h *history) one(in int) bool { return h.IntN(in) == 0 }

func (h *history) of(values ...string) string { return values[h.IntN(len(values))] }

func (h *history) key() string {
	key := h.of("a", "a", "a", "a", "a", "a", "a", "b", "b", "b", "none", "text")
	if !slices.Contains(h.touched, key) {
		h.touched = append(h.touched, key)
	}
	return key
}

func (h *history) group() string {
	return h.of("g", "g", "g", "g", "g", "g", "g", "h", "h", "nobody")
}

func (h *history) consumer() string { return h.of("alice", "alice", "bob", "carol", "") }

// id returns an ID that was used, or one that may have been, or one in another form.
func (h *history) id() string {
	switch h.IntN(16) {
	case 0:
		return h.near(6, 3)
	case 1:
		return h.of("0", "0-0", "0-1", "18446744073709551615-18446744073709551615", "1007-18446744073709551615")
	case 2, 3, 4, 5:
		return h.near(6, 3) + "-" + h.between(0, 4)
	}
	s := h.pair.keys[h.of("a", "a", "b")]
	if s == nil || len(s.nodes) == 0 {
		return h.near(3, 0) + "-0"
	}
	if g := s.groups["g"]; g != nil && g.pending.size > 0 && h.one(2) {
		c := *g.pending.chunks[h.IntN(len(g.pending.chunks))]
		return c[h.IntN(len(c))].id.String()
	}
	n := s.nodes[h.IntN(len(s.nodes))]
	return n.entries[h.IntN(len(n.entries))].id.String()
}

func (h *history) ids() []string {
	ids := make([]string, 1+h.IntN(5))
	for i := range ids {
		ids[i] = h.id()
	}
	return ids
}

// bound is one end of an interval.
func (h *history) bound(open string) string {
	switch h.IntN(4) {
	case 0:
		return h.id()
	case 1:
		return "(" + h.id()
	default:
		return open
	}
}

func (h *history) small() string { return h.between(-1, 6) }

// maybe returns an option with its arguments half of the time.
func (h *history) maybe(option string, args ...string) []string {
	if h.one(2) {
		return append([]string{option}, args...)
	}
	return nil
}

var values = []string{"", "1", "-5000", "v", "00", "70000", "9223372036854775807", strings.Repeat("v", 70), strings.Repeat("w", 600), strings.Repeat("x", 1500)}

func (h *history) fields() (fields []string) {
	for range 1 + h.IntN(3) {
		fields = append(fields, h.of("f", "f", "g", "12"), h.of(values...))
	}
	return fields
}

func (h *history) trim() []string {
	args := []string{h.of("MAXLEN", "maxlen", "MINID")}
	if mark := h.of("", "=", "~", "~"); mark != "" {
		args = append(args, mark)
	}
	if args[0] == "MINID" {
		args = append(args, h.id())
	} else {
		args = append(args, h.between(0, 20))
	}
	if h.one(3) {
		args = append(args, "LIMIT", h.of("0", h.between(1, 9), h.between(1, 9), "200"))
	}
	return args
}

func (h *history) xadd() []string {
	args := []string{"XADD", h.key()}
	if h.one(8) {
		args = append(args, "NOMKSTREAM")
	}
	if h.one(6) {
		args = append(args, h.trim()...)
	}
	switch h.IntN(7) {
	case 0:
		args = append(args, h.id())
	case 1:
		args = append(args, h.near(2, 2)+"-*")
	default:
		args = append(args, "*")
	}
	return append(args, h.fields()...)
}

var junk = []string{
	"", "-1", "x", "0", "007", "+5", "-", "+", "$", ">", "*", "5-*", "(5", "(", "(0-0", "(-", " 7", "1-2-3", "1--05", "1--5", "-0", "~", "=",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "18446744073709551616", "576460752303423487",
	"18446744073709551615-18446744073709551615", "(18446744073709551615-18446744073709551615", "COUNT", "MAXLEN", "NOACK", "FORCE",
	"\x00", "1\x002", "a\r\nb", "IDLE", "help", strings.Repeat("é", 100), strings.Repeat("1", 128), "-*", "1-", "1-\x00",
}

// spoil changes a command now and then so that it is likely to be wrong.
func (h *history) spoil(args []string) []string {
	if !h.one(12) {
		return args
	}
	args = slices.Clone(args)
	at := 1 + h.IntN(len(args)-1)
	switch h.IntN(5) {
	case 0:
		return args[:at]
	case 1:
		return slices.Delete(args, at, at+1)
	case 2:
		return slices.Insert(args, at, h.of(junk...))
	default:
		args[at] = h.of(junk...)
		return args
	}
}

func concat(parts ...[]string) []string { return slices.Concat(parts...) }

func (h *history) command() []string {
	switch h.IntN(34) {
	case 0, 1, 2, 3, 4, 5:
		return h.xadd()
	case 6:
		return []string{"XLEN", h.key()}
	case 7:
		return concat([]string{"XRANGE", h.key(), h.bound("-"), h.bound("+")}, h.maybe("COUNT", h.small()))
	case 8:
		return concat([]string{"XREVRANGE", h.key(), h.bound("+"), h.bound("-")}, h.maybe("COUNT", h.small()))
	case 9, 10, 11:
		return concat([]string{"XDEL", h.key()}, h.ids())
	case 12, 13:
		return concat([]string{"XTRIM", h.key()}, h.trim())
	case 14:
		return concat([]string{"XREAD"}, h.maybe("COUNT", h.small()), h.block(), h.streams("$"))
	case 15, 16, 17, 18, 19:
		return concat([]string{"XREADGROUP", "GROUP", h.group(), h.consumer()}, h.maybe("COUNT", h.small()),
			h.noAck(), h.block(), h.streams(">"))
	case 20, 21:
		return concat([]string{"XACK", h.key(), h.group()}, h.ids())
	case 22, 23:
		return h.xpending()
	case 24, 25:
		return h.xclaim()
	case 26, 27:
		return concat([]string{"XAUTOCLAIM", h.key(), h.group(), h.consumer(), h.small(), h.bound("-")},
			h.maybe("COUNT", h.small()), h.maybe("JUSTID"))
	case 28:
		return concat([]string{"XSETID", h.key(), h.id()}, h.maybe("ENTRIESADDED", h.small()), h.maybe("MAXDELETEDID", h.id()))
	case 29:
		return h.xinfo()
	default:
		return h.xgroup()
	}
}

func (h *history) noAck() []string {
	if h.one(5) {
		return []string{"NOACK"}
	}
	return nil
}

func (h *history) block() []string {
	if h.one(8) {
		return []string{"BLOCK", h.of("0", "5", "-1", "x")}
	}
	return nil
}

func (h *history) streams(usual string) []string {
	args, ids := []string{"STREAMS"}, []string{}
	for range 1 + h.IntN(2) {
		args = append(args, h.key())
		if h.one(3) {
			ids = append(ids, h.id())
		} else {
			ids = append(ids, h.of(usual, usual, usual, "0"))
		}
	}
	return append(args, ids...)
}

func (h *history) xpending() []string {
	args := []string{"XPENDING", h.key(), h.group()}
	if h.one(3) {
		return args
	}
	args = concat(args, h.maybe("IDLE", h.small()), []string{h.bound("-"), h.bound("+"), h.of("-1", "0", "1", "2", "10")})
	if h.one(2) {
		args = append(args, h.consumer())
	}
	return args
}

func (h *history) xclaim() []string {
	return concat([]string{"XCLAIM", h.key(), h.group(), h.consumer(), h.small()}, h.ids(),
		h.rarely("IDLE", h.small()), h.rarely("TIME", h.near(5, 2)),
		h.rarely("RETRYCOUNT", h.small()), h.maybe("FORCE"), h.maybe("JUSTID"), h.rarely("LASTID", h.id()))
}

func (h *history) rarely(option string, args ...string) []string {
	if h.one(5) {
		return append([]string{option}, args...)
	}
	return nil
}

func (h *history) xinfo() []string {
	switch h.IntN(4) {
	case 0:
		return []string{"XINFO", "GROUPS", h.key()}
	case 1:
		return []string{"xinfo", "Consumers", h.key(), h.group()}
	case 2:
		return concat([]string{"XINFO", "STREAM", h.key(), "FULL"}, h.maybe("COUNT", h.small()))
	default:
		return []string{"XINFO", h.of("STREAM", "HELP", "nothing"), h.key()}
	}
}

func (h *history) xgroup() []string {
	key, group := h.key(), h.group()
	read := h.rarely("ENTRIESREAD", h.of("-2", "-1", "0", "3", "100"))
	switch h.IntN(12) {
	case 0:
		return concat([]string{"XGROUP", "SETID", key, group, h.of("$", "0", "-", "+", h.id())}, read)
	case 1:
		return []string{"XGROUP", "DESTROY", key, group}
	case 2, 3:
		return []string{"XGROUP", "CREATECONSUMER", key, group, h.consumer()}
	case 4:
		return []string{"XGROUP", "DELCONSUMER", key, group, h.consumer()}
	case 5:
		return []string{h.of("xGroup", "XINFO"), h.of("HELP", "nothing", "create")}
	default:
		return concat([]string{"XGROUP", "CREATE", key, group, h.of("$", "0", h.id())}, h.maybe("MKSTREAM"), read)
	}
}
