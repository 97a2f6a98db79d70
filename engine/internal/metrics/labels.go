package metrics

import (
	"slices"
	"strings"

	"github.com/streamlease/streamlease/api"
	"github.com/streamlease/streamlease/cluster/expiry"
	"github.com/streamlease/streamlease/cluster/notice"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

// renewal is what came of the renewal of a lease.
type renewal uint8

var (
	renewalResults = newLabel[renewal]("result")

	renewalKept    = renewalResults.value("kept", "extended")
	renewalLost    = renewalResults.value("lost", "another's, or gone")
	renewalMissing = renewalResults.value("missing", "forgotten by a new server; being verified")
	renewalFailed  = renewalResults.value("failed", "no answer; sent again")
)

// verdicts are those of acquire; lease uses others for other scripts.
var verdicts = labelOf[lease.Verdict](dimension{name: "result", values: []value{
	lease.Acquired:   {"acquired", "the stream is owned here now"},
	lease.HeldByOne:  {"held", "by another process, or by this one"},
	lease.Early:      {"early", "before its time"},
	lease.Gone:       {"gone", "its body was deleted"},
	lease.Refused:    {"refused", "an error"},
	lease.NotPending: {"not_pending", "another consumer's by now"},
}})

// Cause is why a stream was disowned.
type Cause uint8

var (
	causes = newLabel[Cause]("cause")

	CauseLease        = causes.value("lease", "Redis reports that it is gone or another's")
	CauseSession      = causes.value("session", "lost with its session")
	CauseDeadline     = causes.value("deadline", "no renewal succeeded in time")
	CauseClosed       = causes.value("closed", "the engine stopped")
	CauseAnnouncement = causes.value("announcement", "it was deleted or trimmed, and is announced again")
)

var endKinds = labelOf[lease.EndKind](dimension{name: "kind", values: []value{
	lease.EndDone:     {"done", "its stream is finished"},
	lease.EndReleased: {"released", "by its owner"},
	lease.EndFailed:   {"failed", "its handler failed"},
	lease.EndHandBack: {"handed_back", "by a drain"},
}})

// ownershipEnds are all the ways in which an ownership ends.
var ownershipEnds = labelOf[lease.EndKind](dimension{name: "kind", values: slices.Concat([]value{
	lease.EndLost: {"lost", "not by its owner: see `disowned_total`"},
}, endKinds.values[lease.EndDone:])})

// endResult is what became of the end of a lease.
type endResult uint8

var (
	endResults = newLabel[endResult]("result")

	endOK      = endResults.value("ok", "confirmed by Redis")
	endLost    = endResults.value("lost", "the lease was lost before Redis answered")
	endUnknown = endResults.value("unknown", "it may or may not have happened")
)

// blame is whether an entry that Redis refuses is to blame for that.
type blame uint8

var (
	blames = newLabel[blame]("cause")

	blameEntry  = blames.value("entry", "the entry itself; dead-lettered in the end")
	blameServer = blames.value("server", "the server's state, its keys, or missing rights")
)

// deadReason is the class of a dead letter: what its reason begins with, up to a colon.
type deadReason uint8

var (
	deadReasons = newLabel[deadReason]("reason")

	deadMalformed = deadReasons.value(lease.DeadMalformed, "it cannot be understood")
	_             = deadReasons.value("permanent", "its handler returned a permanent error")
	_             = deadReasons.value("retries", "none is left")
	deadCrashes   = deadReasons.value("crashes", "its owners died again and again")
	deadTooWide   = deadReasons.value(lease.DeadTooWide, "too many fields")
	deadTooLarge  = deadReasons.value(lease.DeadTooLarge, "beyond `WithLimits`, or more than is copied")
	deadRefused   = deadReasons.value(lease.DeadRefused, "by Redis, again and again; a dead letter refers to it")
	deadOther     = deadReasons.value("other", "anything else")
)

// Tampered is what became of an announcement that somebody took away from its owner.
type Tampered uint8

var (
	tamperedResults = newLabel[Tampered]("result")

	TamperedPending   = tamperedResults.value("pending_again", "for the same owner")
	TamperedAnnounced = tamperedResults.value("announced_again", "as it was, or from memory")
	TamperedElsewhere = tamperedResults.value("elsewhere", "pending for another consumer")
	TamperedLost      = tamperedResults.value("lost", "it cannot be announced again")
)

// Hook is code of the user that is not called with a notification.
type Hook uint8

var (
	hookNames = newLabel[Hook]("hook")

	HookEvents = hookNames.value("events", "the hook of `WithEvents`")
	HookLog    = hookNames.value("log", "the handler of the logger")
)

// HookResult is what became of what was handed to a Hook.
type HookResult uint8

var (
	hookResults = newLabel[HookResult]("result")

	HookDelivered = hookResults.value("delivered", "the hook returned")
	HookPanicked  = hookResults.value("panicked", "or ended its goroutine")
	HookDropped   = hookResults.value("dropped", "too many waited")
)

// Saving is what became of a checkpoint that was sent.
type Saving uint8

const (
	SavingStored Saving = iota
	SavingRefused
	SavingStale
	SavingLater
	SavingFailed

	// SavingResults is how many there are.
	SavingResults
)

var savingResults = labelOf[Saving](dimension{name: "result", values: []value{
	SavingStored:  {"stored", "by itself, with a renewal, or with the end of the lease"},
	SavingRefused: {"refused", "the stream is not owned any more"},
	SavingStale:   {"stale", "a later call came first; sent again"},
	SavingLater:   {"later", "it waits until a slot has moved, or for room in a call; sent again"},
	SavingFailed:  {"failed", "no answer, or an error; sent again"},
}})

// Hint is what became of the report of an expired lease.
type Hint uint8

var (
	hintResults = newLabel[Hint]("result")

	HintDelivered = hintResults.value("delivered", "queued for the handler")
	HintOwn       = hintResults.value("own", "of this process")
	HintDropped   = hintResults.value("dropped", "handlers were behind")
)

var subscriptionResults = labelOf[expiry.Subscription](dimension{name: "result", values: []value{
	expiry.Made:   {"made", "reports from before are missing"},
	expiry.Failed: {"failed", "retried"},
	expiry.Lost:   {"lost", "made again"},
}})

// openResult is whether an attempt to open a session succeeded.
type openResult uint8

var (
	openResults = labelOf[openResult](dimension{name: "result", about: "whether it succeeded"})

	openOK     = openResults.value("ok", "")
	openFailed = openResults.value("failed", "")
)

// Move is what came of a notice that a server moves.
type Move uint8

var (
	moveResults = newLabel[Move]("result")

	MoveFollowed    = moveResults.value("followed", "clients connect to the new endpoint")
	MoveReconnected = moveResults.value("reconnected", "no endpoint was announced: clients connect again to the same address")
	MoveUnanswered  = moveResults.value("unanswered", "the new endpoint does not answer; the old one stays in use")
	MoveReturned    = moveResults.value("returned", "clients connect to the address itself again, since it answers")
)

// signalKind is what a signal is about.
type signalKind uint8

var (
	signalKinds = newLabel[signalKind]("kind")

	signalAnnounced = signalKinds.value("announced", "another announcement waits for a stream that is held")
	signalFreed     = signalKinds.value("freed", "a stream for which another announcement waited is free")
	signalUser      = signalKinds.value("user", "sent by a producer")
	signalWish      = signalKinds.value("wish", "operators wish something else of processes")
	signalOther     = signalKinds.value("other", "it cannot be understood")
)

// SignalRead is what came of reading signals.
type SignalRead uint8

var (
	signalReadResults = newLabel[SignalRead]("result")

	SignalReadOK      = signalReadResults.value("ok", "a page")
	SignalReadFailed  = signalReadResults.value("failed", "no answer; asked again after the next beat")
	SignalReadRefused = signalReadResults.value("refused", "looking for, reading or adding them is; they are left out for 30 s")
)

// Labels whose values have their names elsewhere.
var (
	handlerKinds = labelOf[api.Kind](dimension{name: "kind", about: "what the notification was about", values: named(api.Added, api.Signaled)})
	noticeKinds  = labelOf[notice.Kind](dimension{name: "kind", about: "the notice", values: named(notice.Moving, notice.SlotsMoved)})
	scripts      = labelOf[int](dimension{name: "script", about: "its name in `lease/lua` or `scan/lua`", unlisted: true, values: scriptNames()})
)

// named returns the values from one constant to another, named as their String methods name them, in lower case.
func named[L interface {
	~uint8
	String() string
}](from, to L) []value {
	values := make([]value, to+1)
	for v := from; v <= to; v++ {
		values[v].name = strings.ToLower(v.String())
	}
	return values
}

func scriptNames() (values []value) {
	for _, s := range slices.Concat(lease.Scripts(), scan.Scripts()) {
		values = append(values, value{name: s.Name()})
	}
	return values
}
