package twin

import "strings"

// skipped reports whether a command is not run on the real server, or its reply is not compared there.
func skipped(args []string) (run, compare bool) {
	name, sub := strings.ToUpper(args[0]), ""
	if len(args) > 1 {
		sub = strings.ToUpper(args[1])
	}
	switch name {
	case "SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUNSUBSCRIBE":
		return false, false // pushes come when they come
	case "QUIT":
		return false, false
	case "HELLO", "INFO":
		return true, false // they tell of the process
	case "CLIENT":
		switch sub {
		case "TRACKING":
			return false, false // refused in memory: streams are polled then
		case "ID", "LIST", "INFO":
			return true, false
		case "UNBLOCK", "KILL":
			return false, false // they name a connection by its number
		}
	}
	return true, true
}

// normal returns a reply in the form in which it is compared: what Redis promises no order for is sorted.
func normal(args []string, v value) value {
	switch strings.ToUpper(args[0]) {
	case "EVAL":
		if unordered(args[1]) {
			return v.unordered()
		}
	case "KEYS", "HKEYS", "HVALS", "SMEMBERS":
		return v.sorted(1)
	case "HGETALL":
		if v.kind == '%' || v.kind == '*' {
			return v.sorted(2)
		}
	case "SCAN", "SSCAN":
		return page(v, 1)
	case "HSCAN", "ZSCAN":
		return page(v, 2)
	}
	return v
}

// partial reports whether a reply is a page of something larger: where pages end is the server's affair, and the one in memory gives
// all at once.
func partial(args []string, want value) bool {
	switch strings.ToUpper(args[0]) {
	case "SCAN", "HSCAN", "SSCAN", "ZSCAN":
	case "EVAL":
		if len(args) < 2 || !strings.Contains(args[1], "SCAN'") {
			return false
		}
	default:
		return false
	}
	return len(want.items) == 2 && want.items[0].kind == '$' && want.items[0].text != "0"
}

// unordered reports whether a script asks for what Redis promises no order for. Its reply is compared as a collection of all that
// is in it.
func unordered(script string) bool {
	for _, command := range []string{"SCAN'", "HGETALL'", "HKEYS'", "HVALS'", "SMEMBERS'"} {
		if strings.Contains(script, command) {
			return true
		}
	}
	return false
}

func page(v value, size int) value {
	if len(v.items) == 2 {
		v.items = []value{v.items[0], v.items[1].sorted(size)}
	}
	return v
}

// immediate returns a command without what has it wait.
func immediate(args []string) []string {
	if name := strings.ToUpper(args[0]); name != "XREAD" && name != "XREADGROUP" {
		return args
	}
	for i, a := range args {
		switch {
		case strings.EqualFold(a, "STREAMS"):
			return args
		case strings.EqualFold(a, "BLOCK") && i+1 < len(args):
			return append(append([]string(nil), args[:i]...), args[i+2:]...)
		}
	}
	return args
}
