package trouble

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/streamlease/streamlease/test/proxy"
)

// maxDelay is the most by which a slow link delays each way: a call takes long, but for usual TTLs not too long.
const maxDelay = 300 * time.Millisecond

// lostWithin is within how many scripts the one comes whose answer is lost.
const lostWithin = 20

// Victim is a place where one process runs after the other.
type Victim interface {
	// Kill ends the process by SIGKILL, and returns when it is gone.
	Kill() error
	// Stop asks the process to end in good order, and does not wait for that.
	Stop() error
	// Start waits until the process is gone that was asked to end, and starts the next one.
	Start() error
	// Pause and Resume are SIGSTOP and SIGCONT.
	Pause() error
	Resume() error
	// Link stands between the process and its server. Nil: there is none, so nothing happens to it.
	Link() *proxy.Proxy
}

// Trouble is one thing that happens, and is over when whoever had it strike says so.
type Trouble struct {
	// Name is what has happened to the victim, in one word.
	Name string
	// OnLink says that it happens to the link.
	OnLink bool

	strike func(v Victim, rnd *rand.Rand) (heal func() error, err error)
}

// Strike has it happen now. heal ends it; call it once, and not after an error. A victim is in one trouble at a time.
func (t Trouble) Strike(v Victim, rnd *rand.Rand) (heal func() error, err error) {
	return t.strike(v, rnd)
}

// Of are all that can happen to a victim, in an order that stays.
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
	// A script ran, and who sent it does not know: the connection ends, or hears nothing more.
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
