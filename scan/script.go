package scan

import (
	"embed"
	"fmt"

	"github.com/streamlease/streamlease/lease"
)

//go:embed lua/*.lua
var luaFiles embed.FS

func embedded(name string, parts ...string) *lease.Script {
	return lease.NewScript(name, luaText(name), parts...)
}

func luaText(name string) string {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("scan: script %s: %v", name, err))
	}
	return string(text)
}

var (
	scriptTurn      = embedded("turn")
	scriptPeers     = embedded("peers", "clock", "record", "session", "peer")
	scriptClaimDead = embedded("claimdead", "clock", "record", "session", "peer", "body")
	scriptRecover   = embedded("recover", "clock", "record", "session", "peer", "value", "entry", "disposition")
	scriptSweep     = embedded("sweep", "clock", "record")

	scriptLayout   = looking("layout")
	scriptLetters  = looking("letters", "clock", "value", "entry")
	scriptSendBack = referring("sendback")
	scriptDrop     = referring("drop")
	scriptBacklog  = looking("backlog", "clock", "body", "group")

	scriptOwner         = looking("owner", "clock", "record", "value", "body")
	scriptConsumers     = looking("consumers", "clock", "record")
	scriptHoldings      = looking("holdings", "body")
	scriptLeases        = embedded("leases", "clock")
	scriptRequeueOrphan = embedded("requeueorphan", "clock", "record", "session", "peer", "value", "entry", "disposition")

	scriptCensus    = lease.NewScript("census", luaText("master")+luaText("living")+luaText("census"), "clock")
	scriptKeys      = embedded("keys")
	scriptStop      = lease.NewScript("stop", luaText("living")+luaText("stop"), "clock")
	scriptStart     = embedded("start")
	scriptPage      = looking("page")
	scriptLaterPage = looking("laterpage")
	scriptClaim     = embedded("claim")
	scriptMoved     = lease.NewScript("moved", luaText("living")+luaText("moved"), "clock")
	scriptUnlink    = lease.NewScript("unlink", luaText("living")+luaText("unlink"), "clock")
	scriptRaise     = embedded("raise", "clock", "token")

	scriptStranded   = looking("stranded", "entry", "group")
	scriptReannounce = referring("reannounce")
)

// looking is a script that changes nothing and must run on a master all the same.
func looking(name string, parts ...string) *lease.Script {
	return lease.NewScript(name, luaText("master")+luaText(name), parts...)
}

// referring is a script about dead letters that may refer to entries.
func referring(name string) *lease.Script {
	return lease.NewScript(name, luaText("reference")+luaText(name), "clock", "value", "entry", "group")
}

// Scripts are the scripts of this package, for tests and proxies that tell commands apart by script.
func Scripts() []*lease.Script {
	return []*lease.Script{
		scriptTurn, scriptPeers, scriptClaimDead, scriptRecover, scriptSweep,
		scriptLayout, scriptLetters, scriptSendBack, scriptDrop, scriptBacklog,
		scriptOwner, scriptConsumers, scriptHoldings, scriptLeases, scriptRequeueOrphan,
		scriptCensus, scriptKeys, scriptStop, scriptStart, scriptPage, scriptLaterPage, scriptClaim, scriptMoved, scriptUnlink, scriptRaise,
		scriptStranded, scriptReannounce,
	}
}
