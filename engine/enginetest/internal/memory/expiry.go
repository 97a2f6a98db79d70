package memory

import (
	"container/heap"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// The clock of miniredis stands still at the beginning of Unix time, so what it takes for the rest of a key's time is its deadline:
// it looks through all keys whenever its clock moves. Here is what the commands mean, and when keys expire.

// deadline is a time at which a key may expire, if it still has that deadline then.
type deadline struct {
	at  int64 // in milliseconds; a key is gone when that one has passed, as in Redis
	key string
}

type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at < d[j].at }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

// at sets the clock, and removes what has expired.
func (d *dataset) at(now time.Time) {
	d.now = now
	for len(d.deadlines) > 0 && d.deadlines[0].at < now.UnixMilli() {
		due := heap.Pop(&d.deadlines).(deadline)
		if at, is := d.deadlineOf(due.key); is && at == due.at {
			d.remove(due.key)
			d.expired = append(d.expired, due.key)
		}
	}
}

// deadlineOf returns the deadline of a key in milliseconds, if it has one.
func (d *dataset) deadlineOf(key string) (at int64, is bool) {
	ttl := d.mini.TTL(key)
	return ttl.Milliseconds(), ttl != 0
}

func (d *dataset) remove(key string) {
	d.mini.Del(key)
	delete(d.streams, key)
	delete(d.sets, key)
}

// watch notes the deadline of a key that may have got one. One that has passed already expires at once.
func (d *dataset) watch(key string) {
	at, is := d.deadlineOf(key)
	switch {
	case !is:
	case at < d.now.UnixMilli():
		d.remove(key)
	default:
		heap.Push(&d.deadlines, deadline{at, key})
	}
}

// timed runs the commands that have to do with deadlines. It reports whether this is one.
func (d *dataset) timed(name string, args []string, resp3 bool) (stream.Reply, bool) {
	switch name {
	case "TTL", "PTTL":
		if len(args) != 2 {
			return errArity(args[0]), true
		}
		return d.left(name, args[1]), true
	case "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT":
		args = append([]string{"PEXPIREAT"}, args[1:]...)
		if len(args) >= 3 {
			args[2] = d.absolute(args[2], strings.HasPrefix(name, "P"), strings.HasSuffix(name, "AT"))
		}
	case "SET", "GETEX":
		var err stream.Error
		if args, err = d.withDeadline(args); err != "" {
			return err, true
		}
	case "SETEX", "PSETEX":
		if len(args) != 4 {
			return errArity(args[0]), true
		}
		if n, err := strconv.ParseInt(args[2], 10, 64); err == nil && n <= 0 {
			return errExpire(args[0]), true
		}
		args = []string{"SET", args[1], args[3], "PXAT", d.absolute(args[2], name == "PSETEX", false)}
	case "RENAME", "RENAMENX", "COPY":
		reply := d.moved(args, resp3)
		return reply, true
	default:
		return nil, false
	}
	reply := d.plain(args, resp3)
	if len(args) > 1 {
		d.watch(args[1])
		// A deadline that is now ends a key at once if it is set as such.
		if at, is := d.deadlineOf(args[1]); is && args[0] == "PEXPIREAT" && reply == raw(":1\r\n") && at <= d.now.UnixMilli() {
			d.remove(args[1])
		}
	}
	return reply, true
}

// left returns how long a key has, as TTL and PTTL do.
func (d *dataset) left(name, key string) stream.Reply {
	if d.typeOf(key) == "none" {
		return int64(-2)
	}
	at, is := d.deadlineOf(key)
	if !is {
		return int64(-1)
	}
	left := max(0, at-d.now.UnixMilli())
	if name == "TTL" {
		left = (left + 500) / 1000
	}
	return left
}

// absolute returns a time or a duration, in seconds or milliseconds, as a time in milliseconds. What is no number stays as it is.
func (d *dataset) absolute(text string, milli, at bool) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	if !milli {
		n *= 1000
	}
	if !at {
		n += d.now.UnixMilli()
	}
	return strconv.FormatInt(max(n, 1), 10) // 0 is no deadline
}

// withDeadline returns a SET or GETEX with its deadline as a time.
func (d *dataset) withDeadline(args []string) ([]string, stream.Error) {
	from := 3
	if strings.EqualFold(args[0], "GETEX") {
		from = 2
	}
	out := append([]string(nil), args...)
	for i := from; i+1 < len(args); i++ {
		option := strings.ToUpper(args[i])
		switch option {
		case "EX", "PX", "EXAT", "PXAT":
			if n, err := strconv.ParseInt(args[i+1], 10, 64); err == nil && n <= 0 {
				return nil, errExpire(args[0])
			}
			out[i], out[i+1] = "PXAT", d.absolute(args[i+1], option[0] == 'P', strings.HasSuffix(option, "AT"))
			i++
		}
	}
	return out, ""
}

func errExpire(name string) stream.Error {
	return errorf("ERR invalid expire time in '%s' command", strings.ToLower(name))
}

// moved runs RENAME, RENAMENX and COPY, which take a stream and a deadline along.
func (d *dataset) moved(args []string, resp3 bool) stream.Reply {
	reply := d.plain(args, resp3)
	if len(args) < 3 {
		return reply
	}
	from, to := args[1], args[2]
	if done := reply == raw("+OK\r\n") || reply == raw(":1\r\n"); !done || from == to {
		return reply
	}
	delete(d.streams, to)
	delete(d.sets, to)
	switch copied := strings.EqualFold(args[0], "COPY"); d.typeOf(to) {
	case "stream":
		d.streams[to] = d.streams[from]
		if copied {
			d.streams[to] = d.streams[from].Clone()
		}
	case "zset":
		d.sets[to] = d.sets[from]
		if copied {
			d.sets[to] = d.sets[from].clone()
		}
	}
	if d.typeOf(from) == "none" {
		delete(d.streams, from)
		delete(d.sets, from)
	}
	d.watch(to)
	return reply
}

// arm has the server look when the next key expires, if somebody may want to hear of it.
func (s *Server) arm() {
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
	if s.down || len(s.data.deadlines) == 0 || len(s.subscribers) == 0 || s.config["notify-keyspace-events"] == "" {
		return
	}
	due := time.UnixMilli(s.data.deadlines[0].at + 1)
	s.alarm = time.AfterFunc(due.Sub(s.data.now), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.down {
			s.data.at(time.Now())
			s.settle()
		}
	})
}
