package memory

import (
	"slices"
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// push is a message that answers no command: a push in version 3 of the protocol.
type push []stream.Reply

// subscribe runs SUBSCRIBE and PSUBSCRIBE.
func subscribe(c *conn, args []string) stream.Reply {
	kind := strings.ToLower(args[0])
	names := c.names(kind)
	for _, name := range args[1:] {
		if !slices.Contains(*names, name) {
			*names = append(*names, name)
		}
		c.server.subscribers[c] = struct{}{}
		c.push(kind, name, int64(len(c.channels)+len(c.patterns)))
	}
	return nil
}

// unsubscribe runs UNSUBSCRIBE and PUNSUBSCRIBE: without names, of all.
func unsubscribe(c *conn, args []string) stream.Reply {
	kind := strings.ToLower(args[0])
	names := c.names(kind)
	gone := args[1:]
	if len(gone) == 0 {
		gone = slices.Clone(*names)
	}
	for _, name := range gone {
		*names = slices.DeleteFunc(*names, func(n string) bool { return n == name })
		c.push(kind, name, int64(len(c.channels)+len(c.patterns)))
	}
	if len(gone) == 0 {
		c.push(kind, stream.Null{}, int64(len(c.channels)+len(c.patterns)))
	}
	if len(c.channels)+len(c.patterns) == 0 {
		delete(c.server.subscribers, c)
	}
	return nil
}

// names returns the list that a command changes: the channels or the patterns.
func (c *conn) names(kind string) *[]string {
	if kind[0] == 'p' {
		return &c.patterns
	}
	return &c.channels
}

// unsubscribe takes all from a connection that ends.
func (s *Server) unsubscribe(c *conn) {
	c.channels, c.patterns = nil, nil
	delete(s.subscribers, c)
}

func (c *conn) push(items ...stream.Reply) { c.say(encode(push(items), c.resp3)) }

// publish sends a message to who is subscribed, in the order in which they connected, and returns to how many.
func (s *Server) publish(channel, message string) (receivers int64) {
	conns := make([]*conn, 0, len(s.subscribers))
	for c := range s.subscribers {
		conns = append(conns, c)
	}
	slices.SortFunc(conns, func(a, b *conn) int { return int(a.id - b.id) })
	for _, c := range conns {
		if slices.Contains(c.channels, channel) {
			c.push("message", channel, message)
			receivers++
		}
		for _, p := range c.patterns {
			if matches(p, channel) {
				c.push("pmessage", p, channel, message)
				receivers++
			}
		}
	}
	return receivers
}

// tell publishes what expired, as far as notify-keyspace-events says.
func (s *Server) tell() {
	expired := s.data.expired
	s.data.expired = nil
	flags := s.config["notify-keyspace-events"]
	if !strings.ContainsAny(flags, "xA") {
		return
	}
	for _, key := range expired {
		if strings.Contains(flags, "K") {
			s.publish("__keyspace@0__:"+key, "expired")
		}
		if strings.Contains(flags, "E") {
			s.publish("__keyevent@0__:expired", key)
		}
	}
}

// pubsub runs PUBSUB.
func (s *Server) pubsub(args []string) stream.Reply {
	if len(args) < 2 {
		return errArity(args[0])
	}
	channels := make(map[string]int64)
	var patterns []string
	for c := range s.subscribers {
		for _, name := range c.channels {
			channels[name]++
		}
		patterns = append(patterns, c.patterns...)
	}
	switch strings.ToUpper(args[1]) {
	case "CHANNELS":
		found := []stream.Reply{}
		for name := range channels {
			if len(args) < 3 || matches(args[2], name) {
				found = append(found, name)
			}
		}
		return found
	case "NUMSUB":
		counts := []stream.Reply{}
		for _, name := range args[2:] {
			counts = append(counts, name, channels[name])
		}
		return counts
	case "NUMPAT":
		slices.Sort(patterns)
		return int64(len(slices.Compact(patterns)))
	}
	return errSubcommand(args)
}

// matches reports whether text matches a pattern as Redis knows them: * ? [a-z] [^a] and \ before what is meant as it stands.
func matches(pattern, text string) bool {
	for pattern != "" {
		switch c := pattern[0]; {
		case c == '*':
			pattern = strings.TrimLeft(pattern, "*")
			for i := range len(text) + 1 {
				if matches(pattern, text[i:]) {
					return true
				}
			}
			return false
		case text == "":
			return false
		case c == '[':
			in, rest := inClass(pattern[1:], text[0])
			if !in {
				return false
			}
			pattern, text = rest, text[1:]
		case c == '\\' && len(pattern) > 1:
			if pattern[1] != text[0] {
				return false
			}
			pattern, text = pattern[2:], text[1:]
		default:
			if c != '?' && c != text[0] {
				return false
			}
			pattern, text = pattern[1:], text[1:]
		}
	}
	return text == ""
}

// inClass reports whether a byte is in the class that a pattern begins with, after its bracket, and returns what follows the class.
func inClass(pattern string, b byte) (in bool, rest string) {
	not := strings.HasPrefix(pattern, "^")
	if not {
		pattern = pattern[1:]
	}
	for pattern != "" && pattern[0] != ']' {
		low := pattern[0]
		if low == '\\' && len(pattern) > 1 {
			low, pattern = pattern[1], pattern[1:]
		}
		high := low
		if len(pattern) >= 3 && pattern[1] == '-' {
			high, pattern = pattern[2], pattern[2:]
		}
		if low > high {
			low, high = high, low
		}
		in = in || low <= b && b <= high
		pattern = pattern[1:]
	}
	return in != not, strings.TrimPrefix(pattern, "]")
}
