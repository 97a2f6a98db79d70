package memory

import (
	"strings"

	"github.com/streamlease/streamlease/engine/enginetest/internal/stream"
)

// popping are the commands that wait for an element of a list or of a sorted set, as commands that do not wait.
var popping = map[string]func(d *dataset, args []string, resp3 bool) (reply stream.Reply, none bool){
	"BLPOP":      popFirst("LPOP"),
	"BRPOP":      popFirst("RPOP"),
	"BZPOPMIN":   popFirst("ZPOPMIN"),
	"BZPOPMAX":   popFirst("ZPOPMAX"),
	"BRPOPLPUSH": popAndPush(4, func(args []string) []string { return []string{"RPOPLPUSH", args[1], args[2]} }),
	"BLMOVE":     popAndPush(6, func(args []string) []string { return append([]string{"LMOVE"}, args[1:5]...) }),
}

// popFirst takes from the first key that has something: BLPOP key [key ...] timeout.
func popFirst(command string) func(*dataset, []string, bool) (stream.Reply, bool) {
	return func(d *dataset, args []string, _ bool) (stream.Reply, bool) {
		if len(args) < 3 {
			return errArity(args[0]), false
		}
		if _, err := limitOf(args); err != "" {
			return err, false
		}
		for _, key := range args[1 : len(args)-1] {
			if d.typeOf(key) == "none" {
				continue
			}
			switch reply := d.value([]string{command, key}).(type) {
			case stream.Error:
				return reply, false
			case []stream.Reply: // of a sorted set: member and score
				return append([]stream.Reply{key}, reply...), false
			default:
				return []stream.Reply{key, reply}, false
			}
		}
		return stream.NullArray{}, true
	}
}

// popAndPush moves from one list to another.
func popAndPush(length int, move func([]string) []string) func(*dataset, []string, bool) (stream.Reply, bool) {
	return func(d *dataset, args []string, resp3 bool) (stream.Reply, bool) {
		if len(args) != length {
			return errArity(args[0]), false
		}
		if _, err := limitOf(args); err != "" {
			return err, false
		}
		if d.typeOf(args[1]) == "none" {
			return stream.NullArray{}, true
		}
		return d.call(move(args), resp3), false
	}
}

// errArity is what Redis says about a wrong number of arguments.
func errArity(name string) stream.Error {
	return errorf("ERR wrong number of arguments for '%s' command", strings.ToLower(name))
}
