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

const (
	renewalKept renewal = iota
	renewalLost
	renewalMissing
	renewalFailed
)

var renewalResults = label[renewal]{name: "result", values: []value{
	renewalKept:    {"kept", "extended"},
	renewalLost:    {"lost", "another's, or gone"},
	renewalMissing: {"missing", "forgotten by a new server; being verified"},
	renewalFailed:  {"failed", "no answer; sent again"},
}}

// verdicts are those of acquire; lease uses others for other scripts.
var verdicts = label[lease.Verdict]{name: "result", values: []value{
	lease.Acquired:   {"acquired", "the stream is owned here now"},
	lease.HeldByOne:  {"held", "by another process, or by this one"},
	lease.Early:      {"early", "before its time"},
	lease.Gone:       {"gone", "its body was deleted"},
	lease.Refused:    {"refused", "an error"},
	lease.NotPending: {"not_pending", "another consumer's by now"},
}}

// Cause is why a stream was disowned.
type Cause uint8

const (
	CauseLease Cause = iota
	CauseSession
	CauseDeadline
	CauseClosed
	CauseAnnouncement
)

var causes = label[Cause]{name: "cause", values: []value{
	CauseLease:        {"lease", "Redis reports that it is gone or another's"},
	CauseSession:      {"session", "lost with its session"},
	CauseDeadline:     {"deadline", "no renewal succeeded in time"},
	CauseClosed:       {"closed", "the engine stopped"},
	CauseAnnouncement: {"announcement", "it was deleted or trimmed, and is announced again"},
}}

var endKinds = label[lease.EndKind]{name: "kind", values: []value{
	lease.EndDone:     {"done", "its stream is finished"},
	lease.EndReleased: {"released", "by its owner"},
	lease.EndFailed:   {"failed", "its handler failed"},
	lease.EndHandBack: {"handed_back", "by a drain"},
}}

// ownershipEnds are all the ways in which an ownership ends.
var ownershipEnds = label[lease.EndKind]{name: "kind", values: slices.Concat([]value{
	lease.EndLost: {"lost", "not by its owner: see `disowned_total`"},
}, endKinds.values[lease.EndDone:])}

// endResult is what became of the end of a lease.
type endResult uint8

const (
	endOK endResult = iota
	endLost
	endUnknown
)

var endResults = label[endResult]{name: "result", values: []value{
	endOK:      {"ok", "confirmed by Redis"},
	endLost:    {"lost", "the lease was lost before Redis answered"},
	endUnknown: {"unknown", "it may or may not have happened"},
}}

// blame is whether an entry that Redis refuses is to blame for that.
type blame uint8

const (
	blameEntry blame = iota
	blameServer
)

var blames = label[blame]{name: "cause", values: []value{
	blameEntry:  {"entry", "the entry itself; dead-lettered in the end"},
	blameServer: {"server", "the server's state, its keys, or missing rights"},
}}

// deadReason is the class of a dead letter: what its reason begins with, up to a colon.
type deadReason uint8

const (
	deadMalformed deadReason = iota
	deadPermanent
	deadRetries
	deadCrashes
	deadTooWide
	deadTooLarge
	deadRefused
	deadOther
)

var deadReasons = label[deadReason]{name: "reason", values: []value{
	deadMalformed: {lease.DeadMalformed, "it cannot be understood"},
	deadPermanent: {"permanent", "its handler returned a permanent error"},
	deadRetries:   {"retries", "none is left"},
	deadCrashes:   {"crashes", "its owners died again and again"},
	deadTooWide:   {lease.DeadTooWide, "too many fields"},
	deadTooLarge:  {lease.DeadTooLarge, "beyond `WithLimits`, or more than is copied"},
	deadRefused:   {lease.DeadRefused, "by Redis, again and again; a dead letter refers to it"},
	deadOther:     {"other", "anything else"},
}}

// Tampered is what became of an announcement that somebody took away from its owner.
type Tampered uint8

const (
	TamperedPending Tampered = iota
	TamperedAnnounced
	TamperedElsewhere
	TamperedLost
)

var tamperedResults = label[Tampered]{name: "result", values: []value{
	TamperedPending:   {"pending_again", "for the same owner"},
	TamperedAnnounced: {"announced_again", "as it was, or from memory"},
	TamperedElsewhere: {"elsewhere", "pending for another consumer"},
	TamperedLost:      {"lost", "it cannot be announced again"},
}}

// Hook is code of the user that is not called with a notification.
type Hook uint8

const (
	HookEvents Hook = iota
	HookLog
)

var hookNames = label[Hook]{name: "hook", values: []value{
	HookEvents: {"events", "the hook of `WithEvents`"},
	HookLog:    {"log", "the handler of the logger"},
}}

// HookResult is what became of what was handed to a Hook.
type HookResult uint8

const (
	HookDelivered HookResult = iota
	HookPanicked
	HookDropped
)

var hookResults = label[HookResult]{name: "result", values: []value{
	HookDelivered: {"delivered", "the hook returned"},
	HookPanicked:  {"panicked", "or ended its goroutine"},
	HookDropped:   {"dropped", "too many waited"},
}}

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

var savingResults = label[Saving]{name: "result", values: []value{
	SavingStored:  {"stored", "by itself, with a renewal, or with the end of the lease"},
	SavingRefused: {"refused", "the stream is not owned any more"},
	SavingStale:   {"stale", "a later call came first; sent again"},
	SavingLater:   {"later", "it waits until a slot has moved, or for room in a call; sent again"},
	SavingFailed:  {"failed", "no answer, or an error; sent again"},
}}

// Hint is what became of the report of an expired lease.
type Hint uint8

const (
	HintDelivered Hint = iota
	HintOwn
	HintDropped
)

var hintResults = label[Hint]{name: "result", values: []value{
	HintDelivered: {"delivered", "queued for the handler"},
	HintOwn:       {"own", "of this process"},
	HintDropped:   {"dropped", "handlers were behind"},
}}

var subscriptionResults = label[expiry.Subscription]{name: "result", values: []value{
	expiry.Made:   {"made", "reports from before are missing"},
	expiry.Failed: {"failed", "retried"},
	expiry.Lost:   {"lost", "made again"},
}}

// openResult is whether an attempt to open a session succeeded.
type openResult uint8

const (
	openOK openResult = iota
	openFailed
)

var openResults = label[openResult]{name: "result", about: "whether it succeeded", values: []value{
	openOK:     {name: "ok"},
	openFailed: {name: "failed"},
}}

// Move is what came of a notice that a server moves.
type Move uint8

const (
	MoveFollowed Move = iota
	MoveReconnected
	MoveUnanswered
	MoveReturned
)

var moveResults = label[Move]{name: "result", values: []value{
	MoveFollowed:    {"followed", "clients connect to the new endpoint"},
	MoveReconnected: {"reconnected", "no endpoint was announced: clients connect again to the same address"},
	MoveUnanswered:  {"unanswered", "the new endpoint does not answer; the old one stays in use"},
	MoveReturned:    {"returned", "clients connect to the address itself again, since it answers"},
}}

// signalKinds are the kinds of signals.
var signalKinds = label[signalKind]{name: "kind", values: []value{
	signalAnnounced: {"announced", "another announcement waits for a stream that is held"},
	signalFreed:     {"freed", "a stream for which another announcement waited is free"},
	signalUser:      {"user", "sent by a producer"},
	signalOther:     {"other", "it cannot be understood"},
}}

// signalKind is what a signal is about.
type signalKind uint8

const (
	signalAnnounced signalKind = iota
	signalFreed
	signalUser
	signalOther
)

// SignalRead is what came of reading signals.
type SignalRead uint8

const (
	SignalReadOK SignalRead = iota
	SignalReadFailed
	SignalReadRefused
)

var signalReadResults = label[SignalRead]{name: "result", values: []value{
	SignalReadOK:      {"ok", "a page"},
	SignalReadFailed:  {"failed", "no answer; asked again after the next beat"},
	SignalReadRefused: {"refused", "looking for, reading or adding them is; they are left out for 30 s"},
}}

// Labels whose values have their names elsewhere.
var (
	handlerKinds = label[api.Kind]{name: "kind", about: "what the notification was about", values: named(api.Added, api.Signaled)}
	noticeKinds  = label[notice.Kind]{name: "kind", about: "the notice", values: named(notice.Moving, notice.SlotsMoved)}
	scripts      = label[int]{name: "script", about: "its name in `lease/lua` or `scan/lua`", unlisted: true, values: scriptNames()}
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
