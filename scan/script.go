package scan

import (
	"embed"
	"fmt"

	"github.com/streamlease/streamlease/lease"
)

//go:embed lua/*.lua
var luaFiles embed.FS

func embedded(name string) *lease.Script { return lease.NewScript(name, luaText(name)) }

func luaText(name string) string {
	text, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("scan: script %s: %v", name, err))
	}
	return string(text)
}

var (
	scriptTurn      = embedded("turn")
	scriptPeers     = embedded("peers")
	scriptClaimDead = embedded("claimdead")
	scriptRecover   = embedded("recover")
	scriptSweep     = embedded("sweep")
	scriptEndRuns   = embedded("endruns")
	scriptTidy      = embedded("tidy")
	scriptTally     = embedded("tally")

	scriptLayout   = embedded("layout")
	scriptLetters  = embedded("letters")
	scriptNewest   = embedded("newest")
	scriptSendBack = embedded("sendback")
	scriptDrop     = embedded("drop")
	scriptBacklog  = embedded("backlog")

	scriptOwner         = embedded("owner")
	scriptConsumers     = embedded("consumers")
	scriptHoldings      = embedded("holdings")
	scriptLeases        = embedded("leases")
	scriptRequeueOrphan = embedded("requeueorphan")

	scriptCensus    = embedded("census")
	scriptKeys      = embedded("keys")
	scriptStop      = embedded("stop")
	scriptStart     = embedded("start")
	scriptPage      = embedded("page")
	scriptLaterPage = embedded("laterpage")
	scriptClaim     = embedded("claim")
	scriptMoved     = embedded("moved")
	scriptUnlink    = embedded("unlink")
	scriptRaise     = embedded("raise")

	scriptFields = embedded("fields")
	scriptMoveIn = embedded("movein")

	scriptStranded   = embedded("stranded")
	scriptReannounce = embedded("reannounce")

	scriptAsk      = embedded("ask")
	scriptWithdraw = embedded("withdraw")
	scriptWishes   = embedded("wishes")
	scriptFleet    = embedded("fleet")

	scriptEntriesOf    = embedded("entriesof")
	scriptCheckpointOf = embedded("checkpointof")
	scriptSettling     = embedded("settling")
	scriptTaken        = embedded("taken")

	scriptDelayed = embedded("delayed")
	scriptHasten  = embedded("hasten")
	scriptCancel  = embedded("cancel")
)

// Scripts are the scripts of this package, for tests and proxies that tell commands apart by script.
func Scripts() []*lease.Script {
	return []*lease.Script{
		scriptTurn, scriptPeers, scriptClaimDead, scriptRecover, scriptSweep, scriptEndRuns, scriptTidy, scriptTally,
		scriptLayout, scriptLetters, scriptNewest, scriptSendBack, scriptDrop, scriptBacklog,
		scriptOwner, scriptConsumers, scriptHoldings, scriptLeases, scriptRequeueOrphan,
		scriptCensus, scriptKeys, scriptStop, scriptStart, scriptPage, scriptLaterPage, scriptClaim, scriptMoved, scriptUnlink, scriptRaise,
		scriptFields, scriptMoveIn,
		scriptStranded, scriptReannounce, scriptDelayed, scriptHasten, scriptCancel,
		scriptAsk, scriptWithdraw, scriptWishes, scriptFleet,
		scriptEntriesOf, scriptCheckpointOf, scriptSettling, scriptTaken,
	}
}
