package schedule

import (
	"embed"
	"strings"

	"github.com/streamlease/streamlease/lease"
)

//go:embed lua/*.lua lua/parts/*.lua
var luaFiles embed.FS

var (
	scriptPut    = embedded("put")
	scriptRemove = embedded("remove")
	scriptChange = embedded("change")
	scriptMark   = embedded("mark")
	scriptRevive = embedded("revive")
	scriptSpecs  = embedded("specs")
	scriptRows   = embedded("rows")
	scriptOwners = embedded("owners")
)

// scripts are those of this package, for tests.
var scripts = []*lease.Script{scriptPut, scriptRemove, scriptChange, scriptMark, scriptRevive, scriptSpecs, scriptRows, scriptOwners}

// embedded makes a script. What its head names as "-- Shared   a b" are files in lua/parts, which come before it; "-- Parts" are those of
// package lease, and come first.
func embedded(name string) *lease.Script {
	text := luaText(name)
	var all strings.Builder
	for line := range strings.Lines(text) {
		if shared, ok := strings.CutPrefix(line, "-- Shared "); ok {
			for _, part := range strings.Fields(shared) {
				all.WriteString(luaText("parts/" + part))
			}
		}
	}
	return lease.NewScript(name, all.String()+text)
}

func luaText(file string) string {
	text, err := luaFiles.ReadFile("lua/" + file + ".lua")
	if err != nil { // a bug: a script names what is not there
		panic(err)
	}
	return string(text)
}
