package memory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// counts are what INFO says about commands and errors: those of scripts count, too.
type counts struct {
	calls, failed map[string]int // by command in lower case, with its subcommand: script|load
	errors        map[string]int // by the first word
}

// containers are commands that are counted by their subcommands.
var containers = map[string]bool{"script": true, "xgroup": true, "xinfo": true, "client": true, "config": true, "pubsub": true,
	"acl": true, "object": true, "memory": true, "command": true, "cluster": true}

func counted(args []string) string {
	name := strings.ToLower(args[0])
	if containers[name] && len(args) > 1 {
		name += "|" + strings.ToLower(args[1])
	}
	return name
}

func (c *counts) call(args []string) {
	if c.calls == nil {
		c.calls, c.failed, c.errors = make(map[string]int), make(map[string]int), make(map[string]int)
	}
	c.calls[counted(args)]++
}

// reply counts an error that a client was told.
func (c *counts) reply(args []string, text string) {
	if !strings.HasPrefix(text, "-") || c.errors == nil {
		return
	}
	word, _, _ := strings.Cut(strings.TrimRight(text[1:], "\r\n"), " ")
	c.errors[word]++
	if name := counted(args); c.calls[name] > 0 {
		c.failed[name]++
	}
}

func (c *counts) stats() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.calls)) {
		fmt.Fprintf(&b, "cmdstat_%s:calls=%d,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=%d\r\n", name, c.calls[name], c.failed[name])
	}
	return b.String()
}

func (c *counts) errorStats() string {
	var b strings.Builder
	for _, word := range slices.Sorted(maps.Keys(c.errors)) {
		fmt.Fprintf(&b, "errorstat_%s:count=%d\r\n", word, c.errors[word])
	}
	return b.String()
}
