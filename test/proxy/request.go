package proxy

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"
)

// request is one command on its way to the server.
type request struct {
	raw  []byte
	args [][]byte
	due  time.Time // not forwarded earlier
}

// command returns the first word in upper case.
func (r *request) command() string { return strings.ToUpper(string(r.args[0])) }

// containers are the commands with subcommands.
var containers = []string{
	"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT",
	"PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
}

// subcommand returns both words of a container command, otherwise "".
func (r *request) subcommand() string {
	command := r.command()
	if len(r.args) < 2 || !slices.Contains(containers, command) {
		return ""
	}
	return command + " " + strings.ToUpper(string(r.args[1]))
}

// refused returns why the proxy does not forward the request, because replies would no longer correspond to requests, or "".
func (r *request) refused() string {
	switch command := r.command(); {
	case command == "MONITOR", command == "SYNC", command == "PSYNC":
		return "ERR the proxy does not support " + command
	case r.subcommand() == "CLIENT REPLY":
		return "ERR the proxy does not support CLIENT REPLY"
	}
	return ""
}

// pending is what a connection waits for, in the order of its requests.
type pending struct {
	fate  Action // what happens to the reply: 0, DropReply or CutAfter
	local []byte // sent to the client in place of a reply: there was no request
	mute  bool   // from here on the client receives nothing: the request was dropped
	due   time.Time

	protocol int // the RESP version in force unless the reply is an error; 0 if it does not change

	confirm string // kind of the push that answers this request; "" if a reply does
	channel string // the channel that it names first; "" for any
}

var confirmations = []string{"subscribe", "psubscribe", "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe"}

// expect returns what answers a request.
func (r *request) expect() pending {
	var e pending
	switch command := r.command(); command {
	case "HELLO":
		if len(r.args) > 1 {
			e.protocol, _ = strconv.Atoi(string(r.args[1]))
		}
	case "RESET":
		e.protocol = 2
	default:
		if kind := strings.ToLower(command); slices.Contains(confirmations, kind) {
			e.confirm = kind
			if len(r.args) > 1 {
				e.channel = string(r.args[1])
			}
		}
	}
	return e
}

// matcher keeps a connection's requests and replies in step.
type matcher struct {
	queue      []pending
	protocol   int  // 0 and 2: RESP2
	subscribed bool // has ever subscribed
}

func (m *matcher) push(e pending) {
	m.queue = append(m.queue, e)
	m.subscribed = m.subscribed || e.confirm != ""
}

func (m *matcher) pop() pending {
	head := m.queue[0]
	m.queue = m.queue[1:]
	return head
}

// popLocal returns the next entry if the server does not reply to it.
func (m *matcher) popLocal() (pending, bool) {
	if len(m.queue) > 0 && (m.queue[0].local != nil || m.queue[0].mute) {
		return m.pop(), true
	}
	return pending{}, false
}

// silenced reports whether the client is to receive nothing more after some request that is still unanswered. It then must not see
// either that the server has gone before answering.
func (m *matcher) silenced() bool {
	return slices.ContainsFunc(m.queue, func(e pending) bool { return e.mute || e.fate == DropReply })
}

// take finds the request that a value from the server answers, and returns what happens to the value. Values that answer nothing
// pass: pushes, and the error that a server sends when it refuses a connection.
func (m *matcher) take(raw []byte) Action {
	if kind, channel, ok := m.pushed(raw); ok {
		if len(m.queue) > 0 && kind != "" && m.queue[0].confirm == kind &&
			(m.queue[0].channel == "" || m.queue[0].channel == channel) {
			return m.pop().fate
		}
		return 0
	}
	if len(m.queue) == 0 || m.queue[0].local != nil || m.queue[0].mute {
		return 0
	}
	head := m.pop()
	if head.protocol != 0 && !isError(raw) {
		m.protocol = head.protocol
	}
	return head.fate
}

// pushed reports whether a value is a push, which answers no request unless it confirms a subscription.
func (m *matcher) pushed(raw []byte) (kind, channel string, ok bool) {
	var words []string
	switch {
	case raw[0] == '>':
		words = leading(raw, 2)
	case raw[0] == '*' && m.subscribed && m.protocol != 3:
		words = leading(raw, 2)
		// In RESP2 messages are arrays, like some replies.
		if len(words) == 0 || !slices.Contains(confirmations, words[0]) &&
			!slices.Contains([]string{"message", "pmessage", "smessage"}, words[0]) {
			return "", "", false
		}
	default:
		return "", "", false
	}
	words = append(words, "", "")
	return words[0], words[1], true
}

func isError(raw []byte) bool {
	return bytes.HasPrefix(raw, []byte("-")) || bytes.HasPrefix(raw, []byte("!"))
}
