package proxy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func requestOf(line string) *request {
	var r request
	for word := range strings.FieldsSeq(line) {
		r.args = append(r.args, []byte(word))
	}
	return &r
}

func TestNames(t *testing.T) {
	p := &Proxy{}
	p.mu.scripts = make(map[string]string)
	p.RegisterScript("renew", "return-1")
	sha := digest([]byte("return-1"))
	for line, want := range map[string][]string{
		"get k":                                {"GET"},
		"script load x":                        {"SCRIPT", "SCRIPT LOAD"},
		"SCRIPT":                               {"SCRIPT"},
		"evalsha " + sha + " 0":                {"EVALSHA", "RENEW"},
		"EVALSHA " + strings.ToUpper(sha):      {"EVALSHA", "RENEW"},
		"EVAL return-1 0":                      {"EVAL", "RENEW"},
		"EVALSHA_RO " + sha + " 0":             {"EVALSHA_RO", "RENEW"},
		"EVAL return-2 0":                      {"EVAL"},
		"EVALSHA":                              {"EVALSHA"},
		"XADD " + sha + " * a b":               {"XADD"},
		"XREADGROUP GROUP g c STREAMS input >": {"XREADGROUP"},
	} {
		require.Equal(t, want, p.names(requestOf(line)), line)
	}
}

func TestRefused(t *testing.T) {
	for _, line := range []string{"monitor", "SYNC", "PSYNC ? -1", "client reply OFF"} {
		require.NotEmpty(t, requestOf(line).refused(), line)
	}
	for _, line := range []string{"GET k", "CLIENT ID", "CLIENT"} {
		require.Empty(t, requestOf(line).refused(), line)
	}
}

// Each step sends a request with a fate, or takes a value and names the fate that it must get.
func TestMatcherKeepsInStep(t *testing.T) {
	type step struct {
		send string
		fate Action
		take string
		want Action
	}
	for name, steps := range map[string][]step{
		"replies in order": {
			{send: "GET a", fate: 1}, {send: "GET b", fate: 2},
			{take: "+a\r\n", want: 1}, {take: "-ERR\r\n", want: 2},
		},
		"pushes pass": {
			{send: "HELLO 3"}, {take: "%0\r\n"}, {send: "GET a", fate: 1},
			{take: ">2\r\n+invalidate\r\n*0\r\n"}, {take: ">4\r\n+MOVING\r\n:1\r\n:2\r\n_\r\n"},
			{take: "$1\r\na\r\n", want: 1},
		},
		"unasked": {
			{take: "-ERR max number of clients reached\r\n"},
		},
		"confirmed by push": {
			{send: "HELLO 3"}, {take: "%0\r\n"},
			{send: "SUBSCRIBE a b", fate: 1}, {send: "PING", fate: 2},
			{take: ">3\r\n+message\r\n+a\r\n+x\r\n"},
			{take: ">3\r\n+subscribe\r\n+a\r\n:1\r\n", want: 1}, {take: ">3\r\n+subscribe\r\n+b\r\n:2\r\n"},
			{take: "+PONG\r\n", want: 2},
		},
		"subscription refused": {
			{send: "HELLO 3"}, {take: "%0\r\n"},
			{send: "SSUBSCRIBE a", fate: 1}, {send: "PING", fate: 2},
			{take: "-MOVED 1 x:1\r\n", want: 1}, {take: "+PONG\r\n", want: 2},
		},
		"unsubscribed unasked": {
			{send: "HELLO 3"}, {take: "%0\r\n"},
			{send: "SUNSUBSCRIBE b", fate: 1},
			{take: ">3\r\n+sunsubscribe\r\n+a\r\n:1\r\n"}, {take: ">3\r\n+sunsubscribe\r\n+b\r\n:0\r\n", want: 1},
		},
		"unsubscribe all": {
			{send: "HELLO 3"}, {take: "%0\r\n"},
			{send: "UNSUBSCRIBE", fate: 1}, {send: "PING", fate: 2},
			{take: ">3\r\n+unsubscribe\r\n_\r\n:0\r\n", want: 1}, {take: "+PONG\r\n", want: 2},
		},
		"RESP2 messages are arrays": {
			{send: "SUBSCRIBE a", fate: 1}, {send: "PING", fate: 2},
			{take: "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", want: 1},
			{take: "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"},
			{take: "*2\r\n$4\r\npong\r\n$0\r\n\r\n", want: 2},
		},
		"RESP2 without subscription": {
			{send: "LRANGE k 0 -1", fate: 1},
			{take: "*2\r\n$7\r\nmessage\r\n$1\r\na\r\n", want: 1},
		},
		"RESP3 arrays are replies": {
			{send: "HELLO 3"}, {take: "%0\r\n"}, {send: "SUBSCRIBE a"}, {take: ">3\r\n+subscribe\r\n+a\r\n:1\r\n"},
			{send: "PUBSUB CHANNELS", fate: 1}, {take: "*1\r\n$7\r\nmessage\r\n", want: 1},
		},
		"refused HELLO changes nothing": {
			{send: "HELLO 3", fate: 1}, {take: "-NOPROTO\r\n", want: 1}, {send: "SUBSCRIBE a"},
			{take: "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"}, {send: "PING", fate: 2},
			{take: "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"}, {take: "*2\r\n$4\r\npong\r\n$0\r\n\r\n", want: 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var m matcher
			for _, s := range steps {
				if s.send != "" {
					e := requestOf(s.send).expect()
					e.fate = s.fate
					m.push(e)
					continue
				}
				require.Equal(t, s.want, m.take([]byte(s.take)), "%q", s.take)
			}
			require.Empty(t, m.queue)
		})
	}
}
