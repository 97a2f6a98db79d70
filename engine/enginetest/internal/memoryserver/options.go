package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// options are the arguments of a redis-server that have a meaning here.
type options struct {
	address  string
	password string
	settings map[string]string
}

// allowed are options that have nothing to do here with these values: nothing is on disk, and there are no replicas. Without values,
// any will do.
var allowed = map[string][]string{
	"dir": nil, "appendfsync": nil, "repl-diskless-sync-delay": nil, "masterauth": nil, "loglevel": nil,
	"daemonize": {"no"}, "save": {""}, "appendonly": {"no"}, "protected-mode": nil,
}

// parse reads pairs of --name and value.
func parse(args []string) (o options, err error) {
	o.settings = make(map[string]string)
	host, port := "127.0.0.1", "6379"
	for ; len(args) > 0; args = args[2:] {
		name, is := strings.CutPrefix(args[0], "--")
		if !is || len(args) < 2 {
			return o, fmt.Errorf("%q is no option with a value", args[0])
		}
		value := args[1]
		switch name {
		case "port":
			port = value
		case "bind":
			host = value
		case "requirepass":
			o.password = value
		case "notify-keyspace-events":
			o.settings[name] = value
		default:
			values, known := allowed[name]
			if !known || values != nil && !slices.Contains(values, value) {
				return o, fmt.Errorf("--%s %q: a server in memory does not do that", name, value)
			}
		}
	}
	o.address = net.JoinHostPort(host, port)
	return o, nil
}
