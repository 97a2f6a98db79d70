package lease

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

//go:embed lua/*.lua lua/parts/*.lua
var luaFiles embed.FS

// Script is a Lua script together with the parts that it shares with others. It never changes.
type Script struct {
	name string
	body string
	sha  string
}

// Name is the name of the file without its extension: the name of the script in metrics and tests.
func (s *Script) Name() string { return s.name }

// Body is the whole text, for EVAL.
func (s *Script) Body() string { return s.body }

// SHA is the SHA-1 of the body in hexadecimal, for EVALSHA.
func (s *Script) SHA() string { return s.sha }

// NewScript puts shared parts in front of text, each once and after those that it needs: the named ones, and those that text
// names in a comment of its head, "-- Parts    clock value". Parts are the files in lua/parts; they name the parts that they need
// in the same way. NewScript panics if a part does not exist, since scripts are made when a package is initialised.
func NewScript(name, text string, parts ...string) *Script {
	body := assembly{script: name, has: make(map[string]bool)}
	for _, part := range slices.Concat(parts, partsOf(text)) {
		body.add(part)
	}
	body.WriteString(stripped(text))
	sum := sha1.Sum([]byte(body.String()))
	return &Script{name: name, body: body.String(), sha: hex.EncodeToString(sum[:])}
}

// assembly is a script under construction.
type assembly struct {
	strings.Builder
	script string
	has    map[string]bool // parts
}

func (a *assembly) add(part string) {
	if a.has[part] {
		return
	}
	a.has[part] = true
	text := luaText(a.script, "parts/"+part)
	for _, needed := range partsOf(text) {
		a.add(needed)
	}
	a.WriteString(stripped(text))
}

// partsOf returns the parts that a text names.
func partsOf(text string) []string {
	for line := range strings.Lines(text) {
		if parts, ok := strings.CutPrefix(line, "-- Parts "); ok {
			return strings.Fields(parts)
		}
	}
	return nil
}

// stripped drops lines that are only comments: a server keeps the text of every script it has run.
func stripped(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimSpace(line); trimmed == "" || strings.HasPrefix(trimmed, "--") {
			continue
		}
		b.WriteString(line)
	}
	return b.String()
}

func embedded(name string) *Script { return NewScript(name, luaText(name, name)) }

func luaText(script, file string) string {
	text, err := luaFiles.ReadFile("lua/" + file + ".lua")
	if err != nil {
		panic(fmt.Sprintf("lease: script %s: %v", script, err))
	}
	return string(text)
}

var (
	scriptMeta     = embedded("meta")
	scriptOpen     = embedded("open")
	scriptBeat     = embedded("beat")
	scriptRenew    = embedded("renew")
	scriptExtend   = embedded("extend")
	scriptSave     = embedded("save")
	scriptSaveOne  = embedded("saveone")
	scriptAcquire  = embedded("acquire")
	scriptDone     = embedded("done")
	scriptRequeue  = embedded("requeue")
	scriptPromote  = embedded("promote")
	scriptVerify   = embedded("verify")
	scriptPending  = embedded("pending")
	scriptRead     = embedded("read")
	scriptCopy     = embedded("copy")
	scriptWhole    = embedded("whole")
	scriptClose    = embedded("close")
	scriptIDs      = embedded("ids")
	scriptAttend   = embedded("attend")
	scriptKeep     = embedded("keep")
	scriptRestore  = embedded("restore")
	scriptSignals  = embedded("signals")
	scriptShut     = embedded("shut")
	scriptAnnounce = embedded("announce")
	scriptOwned    = embedded("owned")
	scriptForget   = embedded("forget")
	scriptLeave    = embedded("leave")
)

// Scripts returns the scripts of this package, for tests and proxies that identify commands by script.
func Scripts() []*Script {
	return []*Script{
		scriptMeta, scriptOpen, scriptBeat, scriptRenew, scriptExtend, scriptAcquire, scriptDone, scriptRequeue,
		scriptPromote, scriptVerify, scriptRead, scriptCopy, scriptWhole, scriptPending, scriptClose, scriptLegacy, scriptExists,
		scriptIDs, scriptAttend, scriptKeep, scriptRestore, scriptSave, scriptSaveOne, scriptForget, scriptSignals,
		scriptShut, scriptAnnounce, scriptOwned, scriptLeave,
	}
}
