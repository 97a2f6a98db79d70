package scan

import (
	"embed"
	"fmt"

	"github.com/streamlease/streamlease/lease"
)

//go:embed lua/*.lua
var luaFiles embed.FS

func embedded(name string, parts ...string) *lease.Script {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("scan: script %s: %v", name, err))
	}
	return lease.NewScript(name, string(text), parts...)
}

var (
	scriptTurn    = embedded("turn")
	scriptPeers   = embedded("peers", "clock", "session")
	scriptOrphans = embedded("orphans", "clock", "session")
	scriptRecover = embedded("recover", "clock", "session", "value", "entry", "giveup")
	scriptSweep   = embedded("sweep", "clock")
)

// Scripts are the scripts of this package, for tests and proxies that tell commands apart by script.
func Scripts() []*lease.Script {
	return []*lease.Script{scriptTurn, scriptPeers, scriptOrphans, scriptRecover, scriptSweep}
}
