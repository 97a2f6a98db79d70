package trouble

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/streamlease/streamlease/test/proxy"
)

// maxDelay is the longest delay of a slow link in each direction: calls take long, but not too long for usual TTLs.
const maxDelay = 300 * time.Millisecond

// lostWithin is the number of scripts within which a reply is lost.
const lostWithin = 20

// Victim is a slot in which one process runs after another.
type Victim interface {
	// Kill ends the process with SIGKILL, and returns when it is gone.
	Kill() error
	// Stop asks the process to shut down, and does not wait for it.
	Stop() error
	// Start waits until a process that was asked to shut down is gone, and starts the next one.
	Start() error
	// Pause and Resume are SIGSTOP and SIGCONT.
	Pause() error
	Resume() error
	// Link is the proxy between the process and its server. Nil: there is none, so no trouble strikes it.
	Link() *proxy.Proxy
}

// Trouble is one kind of fault, which lasts until its heal function is called.
type Trouble struct {
	// Name says in one word what happened to the victim.
	Name string
	// OnLink reports whether it happens to the link.
	OnLink bool

	strike func(v Victim, rnd *rand.Rand) (heal func() error, err error)
}

// Strike starts the trouble. heal ends it: call it once, and not after an error. A victim is in one trouble at a time.
func (t Trouble) Strike(v Victim, rnd *rand.Rand) (heal func() error, err error) {
	return t.strike(v, rnd)
}

// Of returns every trouble that can happen to a victim, always in the same order.
func Of(v Victim) []Trouble {
	if v.Link() != nil {
		return slices.Clone(table)
	}
	return slices.DeleteFunc(slices.Clone(table), func(t Trouble) bool { return t.OnLink })
}

var table = []Trouble{
	{"killed", false, func(v Victim, _ *rand.Rand) (func() error, error) { return v.Start, v.Kill() }},
	{"stopped", false, func(v Victim, _ *rand.Rand) (func() error, error) { return v.Start, v.Stop() }},
	{"paused", false, func(v Victim, _ *rand.Rand) (func() error, error) { return v.Resume, v.Pause() }},
	onLink("cut", func(l *proxy.Proxy, _ *rand.Rand) (heal func()) {
		l.Cut()
		return l.Restore
	}),
	onLink("flickered", func(l *proxy.Proxy, _ *rand.Rand) (heal func()) {
		l.Cut()
		l.Restore()
		return func() {}
	}),
	onLink("stalled", func(l *proxy.Proxy, _ *rand.Rand) (heal func()) {
		l.Stall()
		return l.Resume
	}),
	onLink("delayed", func(l *proxy.Proxy, rnd *rand.Rand) (heal func()) {
		l.Delay(time.Duration(rnd.Int64N(int64(maxDelay))))
		return func() { l.Delay(0) }
	}),
	// A script ran, and its sender does not learn of it: the connection ends, or receives nothing more.
	onLink("unanswered", func(l *proxy.Proxy, rnd *rand.Rand) (heal func()) {
		action := proxy.CutAfter
		if rnd.IntN(2) == 0 {
			action = proxy.DropReply
		}
		return l.Inject(proxy.Fault{Command: "EVALSHA", Nth: 1 + rnd.IntN(lostWithin), Action: action})
	}),
}

func onLink(name string, strike func(*proxy.Proxy, *rand.Rand) (heal func())) Trouble {
	return Trouble{name, true, func(v Victim, rnd *rand.Rand) (func() error, error) {
		l := v.Link()
		if l == nil {
			return nil, errors.New("trouble: " + name + ": there is no link")
		}
		heal := strike(l, rnd)
		return func() error {
			heal()
			return nil
		}, nil
	}}
}
