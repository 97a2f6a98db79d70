package stream

import (
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
	rapid.Check(t, func(t *rapid.T) {
		p.reset(t)
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			h := &history{t: t, now: p.now.UnixMilli()}
			switch h.number("kind", 0, 39) {
			case 0:
				p.del(t, h.one("key", "a", "b"))
			case 1:
				p.clone(h.key())
			case 2, 3, 4, 5, 6, 7:
				p.wait(t, time.Duration(h.number("wait", -1, 4))*time.Millisecond)
			case 8:
				args := h.xadd()
				for range h.number("burst", 1, 130) {
					p.do(t, false, args...)
				}
			default:
				args := h.spoil(h.command())
				p.do(t, h.some("resp3", 2), args...)
			}
			for _, key := range h.touched {
				p.do(t, h.some("resp3", 2), "XINFO", "STREAM", key, "FULL", "COUNT", "0")
				p.do(t, false, "XINFO", "STREAM", key)
			}
		}
	})
	t.Logf("compared %d replies", p.compared)
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
	t       *rapid.T
	now     int64
	touched []string
}

func (h *history) number(what string, from, to int64) int64 {
	return rapid.Int64Range(from, to).Draw(h.t, what)
}

// some is true once in so many times.
func (h *history) some(what string, in int64) bool { return h.number(what, 0, in-1) == in-1 }

func (h *history) one(what string, of ...string) string { return rapid.SampledFrom(of).Draw(h.t, what) }

func (h *history) key() string {
	key := h.one("key", "a", "a", "a", "a", "b", "b", "none", "text")
	if !slices.Contains(h.touched, key) {
		h.touched = append(h.touched, key)
	}
	return key
}

func (h *history) group() string    { return h.one("group", "g", "g", "g", "h", "nobody") }
func (h *history) consumer() string { return h.one("consumer", "alice", "alice", "bob", "carol", "") }

func (h *history) id() string {
	ms := strconv.FormatInt(max(0, h.now+h.number("ms", -6, 3)), 10)
	switch h.number("form", 0, 9) {
	case 0:
		return ms
	case 1:
		return h.one("extreme", "0", "0-0", "0-1", "18446744073709551615-18446744073709551615", "7-18446744073709551615")
	default:
		return ms + "-" + strconv.FormatInt(h.number("seq", 0, 4), 10)
	}
}

func (h *history) ids() []string {
	ids := make([]string, h.number("ids", 1, 5))
	for i := range ids {
		ids[i] = h.id()
	}
	return ids
}

// bound is one end of an interval.
func (h *history) bound(open string) string {
	switch h.number("bound", 0, 3) {
	case 0:
		return h.id()
	case 1:
		return "(" + h.id()
	default:
		return open
	}
}

func (h *history) small(what string) string { return strconv.FormatInt(h.number(what, -1, 6), 10) }

// maybe returns an option with its arguments half of the time.
func (h *history) maybe(option string, args ...string) []string {
	if h.some(option, 2) {
		return append([]string{option}, args...)
	}
	return nil
}

var values = []string{"", "1", "-5000", "v", "00", "70000", "9223372036854775807", strings.Repeat("v", 70), strings.Repeat("w", 600), strings.Repeat("x", 1500)}

func (h *history) fields() (fields []string) {
	for range h.number("fields", 1, 3) {
		fields = append(fields, h.one("name", "f", "f", "g", "12"), h.one("value", values...))
	}
	return fields
}

func (h *history) trim() []string {
	args := []string{h.one("strategy", "MAXLEN", "maxlen", "MINID")}
	if mark := h.one("mark", "", "=", "~", "~"); mark != "" {
		args = append(args, mark)
	}
	if args[0] == "MINID" {
		args = append(args, h.id())
	} else {
		args = append(args, strconv.FormatInt(h.number("length", 0, 20), 10))
	}
	if h.some("limit", 3) {
		args = append(args, "LIMIT", h.one("limit", "0", "3", "10", "200"))
	}
	return args
}

func (h *history) xadd() []string {
	args := []string{"XADD", h.key()}
	if h.some("nomkstream", 8) {
		args = append(args, "NOMKSTREAM")
	}
	if h.some("trim", 6) {
		args = append(args, h.trim()...)
	}
	switch h.number("id", 0, 6) {
	case 0:
		args = append(args, h.id())
	case 1:
		args = append(args, strconv.FormatInt(max(0, h.now+h.number("ms", -2, 2)), 10)+"-*")
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
	if !h.some("spoil", 12) {
		return args
	}
	args = slices.Clone(args)
	at := int(h.number("at", 1, int64(len(args)-1)))
	switch h.number("how", 0, 4) {
	case 0:
		return args[:at]
	case 1:
		return slices.Delete(args, at, at+1)
	case 2:
		return slices.Insert(args, at, h.one("junk", junk...))
	default:
		args[at] = h.one("junk", junk...)
		return args
	}
}

func concat(parts ...[]string) []string { return slices.Concat(parts...) }

func (h *history) command() []string {
	switch h.number("command", 0, 33) {
	case 0, 1, 2, 3, 4, 5:
		return h.xadd()
	case 6:
		return []string{"XLEN", h.key()}
	case 7:
		return concat([]string{"XRANGE", h.key(), h.bound("-"), h.bound("+")}, h.maybe("COUNT", h.small("count")))
	case 8:
		return concat([]string{"XREVRANGE", h.key(), h.bound("+"), h.bound("-")}, h.maybe("COUNT", h.small("count")))
	case 9, 10, 11:
		return concat([]string{"XDEL", h.key()}, h.ids())
	case 12, 13:
		return concat([]string{"XTRIM", h.key()}, h.trim())
	case 14:
		return concat([]string{"XREAD"}, h.maybe("COUNT", h.small("count")), h.block(), h.streams("$"))
	case 15, 16, 17, 18, 19:
		return concat([]string{"XREADGROUP", "GROUP", h.group(), h.consumer()}, h.maybe("COUNT", h.small("count")),
			h.noAck(), h.block(), h.streams(">"))
	case 20, 21:
		return concat([]string{"XACK", h.key(), h.group()}, h.ids())
	case 22, 23:
		return h.xpending()
	case 24, 25:
		return h.xclaim()
	case 26, 27:
		return concat([]string{"XAUTOCLAIM", h.key(), h.group(), h.consumer(), h.small("idle"), h.bound("-")},
			h.maybe("COUNT", h.small("count")), h.maybe("JUSTID"))
	case 28:
		return concat([]string{"XSETID", h.key(), h.id()}, h.maybe("ENTRIESADDED", h.small("added")), h.maybe("MAXDELETEDID", h.id()))
	case 29:
		return h.xinfo()
	default:
		return h.xgroup()
	}
}

func (h *history) noAck() []string {
	if h.some("noack", 5) {
		return []string{"NOACK"}
	}
	return nil
}

func (h *history) block() []string {
	if h.some("block", 8) {
		return []string{"BLOCK", h.one("block", "0", "5", "-1", "x")}
	}
	return nil
}

func (h *history) streams(usual string) []string {
	args, ids := []string{"STREAMS"}, []string{}
	for range h.number("streams", 1, 2) {
		args = append(args, h.key())
		if h.some("id", 3) {
			ids = append(ids, h.id())
		} else {
			ids = append(ids, h.one("usual", usual, usual, usual, "0"))
		}
	}
	return append(args, ids...)
}

func (h *history) xpending() []string {
	args := []string{"XPENDING", h.key(), h.group()}
	if h.some("short", 3) {
		return args
	}
	args = concat(args, h.maybe("IDLE", h.small("idle")), []string{h.bound("-"), h.bound("+"), h.one("count", "-1", "0", "1", "2", "10")})
	if h.some("of", 2) {
		args = append(args, h.consumer())
	}
	return args
}

func (h *history) xclaim() []string {
	return concat([]string{"XCLAIM", h.key(), h.group(), h.consumer(), h.small("idle")}, h.ids(),
		h.rarely("IDLE", h.small("idle")), h.rarely("TIME", strconv.FormatInt(h.now+h.number("time", -5, 2), 10)),
		h.rarely("RETRYCOUNT", h.small("retries")), h.maybe("FORCE"), h.maybe("JUSTID"), h.rarely("LASTID", h.id()))
}

func (h *history) rarely(option string, args ...string) []string {
	if h.some(option, 5) {
		return append([]string{option}, args...)
	}
	return nil
}

func (h *history) xinfo() []string {
	switch h.number("xinfo", 0, 3) {
	case 0:
		return []string{"XINFO", "GROUPS", h.key()}
	case 1:
		return []string{"xinfo", "Consumers", h.key(), h.group()}
	case 2:
		return concat([]string{"XINFO", "STREAM", h.key(), "FULL"}, h.maybe("COUNT", h.small("count")))
	default:
		return []string{"XINFO", h.one("sub", "STREAM", "HELP", "nothing"), h.key()}
	}
}

func (h *history) xgroup() []string {
	key, group := h.key(), h.group()
	read := h.rarely("ENTRIESREAD", h.one("read", "-2", "-1", "0", "3", "100"))
	switch h.number("xgroup", 0, 9) {
	case 0:
		return concat([]string{"XGROUP", "SETID", key, group, h.one("id", "$", "0", "-", "+", h.id())}, read)
	case 1:
		return []string{"XGROUP", "DESTROY", key, group}
	case 2, 3:
		return []string{"XGROUP", "CREATECONSUMER", key, group, h.consumer()}
	case 4:
		return []string{"XGROUP", "DELCONSUMER", key, group, h.consumer()}
	case 5:
		return []string{"xGroup", h.one("sub", "HELP", "nothing", "create")}
	default:
		return concat([]string{"XGROUP", "CREATE", key, group, h.one("id", "$", "0", h.id())}, h.maybe("MKSTREAM"), read)
	}
}
