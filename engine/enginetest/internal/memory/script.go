package memory

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/alicebob/miniredis/v2/server"
)

// msgpack is cmsgpack in Lua, for scripts that use it: miniredis has none.
//
//go:embed msgpack.lua
var msgpack string

// before and after are what every script gets around it.
//
//go:embed compat.lua
var before string

//go:embed compat_end.lua
var after string

// script runs EVAL, EVALSHA and SCRIPT by EVAL alone, so that a script can get what it uses in front.
func (d *dataset) script(p *server.Peer, cmd string, args []string) bool {
	switch {
	case cmd == "EVAL" && len(args) >= 2:
		d.scripts[sum(args[0])] = args[0]
		d.eval(p, args[0], args[1:])
	case cmd == "EVALSHA" && len(args) >= 2:
		text, ok := d.scripts[strings.ToLower(args[0])]
		if !ok {
			p.WriteError("NOSCRIPT No matching script. Please use EVAL.")
			return true
		}
		d.eval(p, text, args[1:])
	case cmd == "SCRIPT" && len(args) == 2 && strings.EqualFold(args[0], "LOAD"):
		d.scripts[sum(args[1])] = args[1]
		return false
	case cmd == "SCRIPT" && len(args) > 0 && strings.EqualFold(args[0], "FLUSH"):
		clear(d.scripts)
		return false
	default:
		return false
	}
	return true
}

func (d *dataset) eval(p *server.Peer, text string, args []string) {
	d.pass = true
	d.mini.Server().Dispatch(p, append([]string{"EVAL", completed(text)}, args...))
}

// completed returns a script with what it gets in front and behind.
func completed(text string) string {
	head := before
	if strings.Contains(text, "cmsgpack") {
		head = msgpack + before
	}
	lines := strings.Count(head, "\n")
	head = strings.NewReplacer("@sha@", sum(text), "@above@", strconv.Itoa(lines)).Replace(head)
	return head + text + after
}

func sum(text string) string {
	digest := sha1.Sum([]byte(text))
	return hex.EncodeToString(digest[:])
}
