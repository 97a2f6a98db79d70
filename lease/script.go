package lease

import (
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// Script is a Lua script with what it shares with others put in front of it. It never changes.
type Script struct {
	name string
	body string
	sha  string
}

// Name is the file's name without its ending: what metrics and tests call the script.
func (s *Script) Name() string { return s.name }

// Body is the whole text, as EVAL takes it.
func (s *Script) Body() string { return s.body }

// SHA is the SHA-1 of the body in hexadecimal, as EVALSHA takes it.
func (s *Script) SHA() string { return s.sha }

// NewScript puts the named shared parts, in the order that they need each other, in front of text. The parts are clock,
// record, session, peer, value, token, body, entry, disposition and group; the head of each file says what it needs. A part that does
// not exist panics, since scripts are made when a package is initialised.
func NewScript(name, text string, parts ...string) *Script {
	var b strings.Builder
	for _, part := range parts {
		text, err := luaFiles.ReadFile("lua/" + part + ".lua")
		if err != nil {
			panic(fmt.Sprintf("lease: script %s: %v", name, err))
		}
		b.WriteString(stripped(string(text)))
	}
	b.WriteString(stripped(text))
	sum := sha1.Sum([]byte(b.String()))
	return &Script{name: name, body: b.String(), sha: hex.EncodeToString(sum[:])}
}

// stripped drops lines that are comments only: a server keeps the text of every script it has run.
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

func embedded(name string, parts ...string) *Script {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("lease: script %s: %v", name, err))
	}
	return NewScript(name, string(text), parts...)
}

var acquireParts = []string{"clock", "record", "session", "value", "token", "entry"}

var (
	scriptMeta    = embedded("meta")
	scriptOpen    = embedded("open", "clock", "record", "session", "token")
	scriptBeat    = embedded("beat", "clock", "record", "session")
	scriptRenew   = embedded("renew", "clock", "record", "session", "value", "token")
	scriptExtend  = embedded("extend", "value")
	scriptAcquire = embedded("acquire", acquireParts...)
	scriptDone    = embedded("done", "clock", "value", "entry")
	scriptRequeue = embedded("requeue", "clock", "record", "session", "value", "entry", "disposition")
	scriptPromote = embedded("promote", "clock", "value", "entry")
	scriptVerify  = embedded("verify", "clock", "record", "session", "value", "token", "entry")
	scriptPending = embedded("pending", "body")
	scriptRead    = embedded("read", "body")
	scriptCopy    = embedded("copy")
	scriptWhole   = embedded("whole")
	scriptClose   = embedded("close", "record")
	scriptIDs     = embedded("ids")
	scriptAttend  = embedded("attend")
	scriptKeep    = embedded("keep", "clock", "record", "session", "value", "entry", "group")
	scriptRestore = embedded("restore", "clock", "record", "session", "value", "entry", "disposition")
)

// Scripts are the scripts of this package, for tests and proxies that tell commands apart by script.
func Scripts() []*Script {
	return []*Script{
		scriptMeta, scriptOpen, scriptBeat, scriptRenew, scriptExtend, scriptAcquire, scriptDone, scriptRequeue,
		scriptPromote, scriptVerify, scriptRead, scriptCopy, scriptWhole, scriptPending, scriptClose, scriptLegacy, scriptExists,
		scriptIDs, scriptAttend, scriptKeep, scriptRestore,
	}
}
