package lease

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/api"
)

// Refusal returns the code of a server's error reply ("OOM", "NOGROUP", …), and whether err is one at all. A refusal is
// definite: the script did not do what was asked. Every other error leaves the outcome open, and the call is retried: all calls
// of this package are safe to repeat.
func Refusal(err error) (code string, ok bool) {
	var reply *rueidis.RedisError // rueidis.IsRedisErr does not look into wrapped errors
	var item refusedItem
	if !errors.As(err, &item) && (!errors.As(err, &reply) || reply.IsNil()) {
		return "", false
	}
	text := string(item)
	if reply != nil {
		text = reply.Error()
	}
	first, _, _ := strings.Cut(text, " ")
	// The parentheses that the scripts add name keys, and a key may be named like a code.
	said, _, _ := strings.Cut(text, " (trying ")
	for _, known := range codes {
		if first == known.code {
			return first, true
		}
	}
	for _, known := range codes {
		if containsWord(said, known.code) {
			return known.code, true
		}
	}
	return first, true
}

// refusedItem is an error reply that a script caught and returned for one item of its batch.
type refusedItem string

func (r refusedItem) Error() string { return string(r) }

// RefusedReply returns the error for such a reply, to a script of another package.
func RefusedReply(reply string) error { return refusedItem(reply) }

// containsWord reports whether text contains word with no letter next to it.
func containsWord(text, word string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(word)
		if (begin == 0 || !isLetter(text[begin-1])) && (end == len(text) || !isLetter(text[end])) {
			return true
		}
		from = end
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// codes are searched for anywhere in a reply: before Redis 7 the server wraps an error that was raised inside a script in words
// of its own. The client drops a leading "ERR ".
var codes = []struct{ code, remedy string }{
	{"NOPERM", "grant the user the command and the key pattern that the message names"},
	{"can't run this command", "grant the user the command that the message names"},
	{"ACL failure in script", "grant the user the command or the key pattern that the message names"},
	{"NOAUTH", "give the client a user name and a password"},
	{"WRONGPASS", "check the client's user name and password"},
	{"OOM", "the server is at maxmemory: raise it or free memory; leases that are held stay held"},
	{"READONLY", "the client talks to a replica: point it at the master, or wait for the failover to end"},
	{"WRONGTYPE", "a key of this library has another type: delete or rename it"},
	{"NOGROUP", "the consumer group or the input stream was deleted; it is made again"},
	{"MISCONF", "the server cannot write its snapshot and refuses writes: check its disk and its log"},
	{"NOREPLICAS", "the server has fewer replicas than min-replicas-to-write asks for"},
	{"MASTERDOWN", "the client talks to a replica without a master: wait for the failover, or check the addresses"},
	{"CLUSTERDOWN", "the cluster does not serve this slot: wait for the failover, or check CLUSTER INFO"},
	{"TRYAGAIN", "the slot is migrating; the call is retried until it has moved"},
	{"LOADING", "the server is loading its data; the call is retried until it has"},
	{"BUSY", "another script or function blocks the server"},
	{"NOSCRIPT", "the server has forgotten the script and refuses EVAL: grant +eval"},
	{"NOSERVERID", "the server cannot be distinguished from its successor: grant +info, or turn settling off with WithSettle(false)"},
	{"OLDSERVER", "upgrade the server to Redis 6.2 or later, or to Valkey"},
	{"Unknown Redis command", "the server lacks the command: Redis 6.2 or Valkey is required"},
	{"Unknown subcommand", "the server lacks the command: Redis 6.2 or Valkey is required"}, // until Redis 6
	{"unknown subcommand", "the server lacks the command: Redis 6.2 or Valkey is required"},
	{badCheckpoint, "a newer version stored it, or somebody by hand: upgrade, or delete the field of the stream"},
	{"DLQFULL", "the dead-letter stream is at DLQMaxLen: send dead letters back, drop them, or raise it"},
	{"exhausted the last possible ID", exhausted},
	{"equal or smaller than the target stream top item", exhausted},
	{"max number of clients reached", "the server has reached maxclients"},
	{"MOVED", "the key is on another node of a cluster: use a cluster client"},
	{"ASK", "the key is moving to another node of a cluster: use a cluster client"},
	{"unknown command", "the server lacks the command: Redis 6.2 or Valkey is required"},
}

const badCheckpoint = "BADCHECKPOINT"

const exhausted = "the stream has an entry with the greatest possible ID, after which nothing can be added: delete that stream, and announce again"

// Blames reports whether an error is a refusal for a reason that lies in the request, an entry or a batch, and not in the state of
// the server, its keys, or the rights of its user: those pass, or get fixed, and say nothing about an entry.
func Blames(err error) bool {
	code, refused := Refusal(err)
	if !refused {
		return false
	}
	for _, known := range codes {
		if known.code == code {
			return false
		}
	}
	return true
}

// Explain adds to an error what to do about it, if that is known. The result matches api.ErrUnsupportedServer if the server is
// too old, lacks a command, or cannot be distinguished from its successor.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time; it may have run: %w", err)
	}
	code, ok := Refusal(err)
	if !ok {
		return err
	}
	for _, known := range codes {
		if known.code != code {
			continue
		}
		if unsupported(code) && !errors.Is(err, api.ErrUnsupportedServer) {
			return fmt.Errorf("%w: %w (%s)", api.ErrUnsupportedServer, err, known.remedy)
		}
		return fmt.Errorf("%w (%s)", err, known.remedy)
	}
	return err
}

// unsupported reports whether a refusal means that this library cannot work with the server: it is too old, or cannot be
// distinguished from its successor.
func unsupported(code string) bool {
	switch code {
	case "OLDSERVER", "Unknown Redis command", "unknown command", "Unknown subcommand", "unknown subcommand", "NOSERVERID":
		return true
	}
	return false
}

// Retryable reports whether a call that failed may succeed later although nobody changes anything: the server is away, busy, full
// or in the middle of a failover. It is false for missing rights, keys of another type, a server that is too old or cannot be
// distinguished from its successor, and api.ErrNotRedis; true for nil and for every other error that is not a refusal.
func Retryable(err error) bool {
	code, ok := Refusal(err)
	if !ok {
		return !errors.Is(err, api.ErrNotRedis)
	}
	switch code {
	case "NOAUTH", "WRONGPASS", "WRONGTYPE":
		return false
	}
	return !unsupported(code) && !LacksRight(err)
}

// LacksRight reports whether err says that the user has no right to a command, a key or a channel.
func LacksRight(err error) bool {
	code, _ := Refusal(err)
	return code == "NOPERM" || code == "can't run this command" || code == "ACL failure in script"
}
