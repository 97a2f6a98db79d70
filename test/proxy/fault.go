package proxy

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Action is what a fault does to a request. The zero value is none.
type Action uint8

const (
	// DropRequest loses the request: the server never sees it, nor anything later on that connection. The client gets the
	// replies to earlier requests and then nothing more; the connection stays open until the client closes it.
	DropRequest Action = iota + 1
	// DropReply loses the reply, for an ambiguous timeout: the command ran. From then on the client receives nothing on that
	// connection, although its later requests are forwarded and run. It stays open until the client closes it.
	DropReply
	// CutBefore resets the client's connection instead of forwarding the request. Replies still under way are lost.
	CutBefore
	// CutAfter resets the client's connection instead of passing on the reply: the command ran. Earlier requests have been
	// answered.
	CutAfter
	// Delay forwards the request after [Fault.Delay], and later requests on that connection behind it.
	Delay
	// ReplyError replies with [Fault.Error] when the request has its turn; the server never sees the request.
	ReplyError
)

// String returns the name of the constant.
func (a Action) String() string {
	names := [...]string{"none", "DropRequest", "DropReply", "CutBefore", "CutAfter", "Delay", "ReplyError"}
	if int(a) >= len(names) {
		return fmt.Sprintf("Action(%d)", a)
	}
	return names[a]
}

// Fault strikes the requests that it matches.
type Fault struct {
	// Command is a script name given to Name or RegisterScript, a command ("XREADGROUP", and "EVALSHA" for every script), or
	// both words of a command with subcommands ("SCRIPT LOAD"). Case does not matter. Empty: every request, HELLO included.
	Command string
	// Nth strikes only the nth match, counted from 1 over all connections since Inject. Zero: every match.
	Nth int
	// Match restricts the fault by the arguments, starting with the name of the command. It runs on a goroutine of the proxy,
	// and may neither keep or change its arguments nor call Cut or Stop, which wait for it. Nil: every request of that name.
	Match func(args [][]byte) bool
	// Action is what happens. It is required.
	Action Action
	// Delay is the duration for the action of that name.
	Delay time.Duration
	// Error is what ReplyError replies, without the leading dash: "OOM command not allowed". Empty: "ERR injected fault".
	Error string
}

// injected is a fault with its count, guarded by the mutex of the proxy.
type injected struct {
	Fault
	matches int
}

// Inject adds a fault, and remove removes it. If several faults match a request all of them count it, and the first injected one
// whose turn it is strikes. Inject panics on an unknown action or an error text of several lines: that is a mistake in the test.
func (p *Proxy) Inject(f Fault) (remove func()) {
	if f.Action < DropRequest || f.Action > ReplyError || f.Nth < 0 || strings.ContainsAny(f.Error, "\r\n") {
		panic(fmt.Sprintf("proxy: malformed fault %v on %q, Nth %d, error %q", f.Action, f.Command, f.Nth, f.Error))
	}
	if f.Error == "" {
		f.Error = "ERR injected fault"
	}
	f.Command = strings.ToUpper(f.Command)
	added := &injected{Fault: f}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.faults = append(slices.Clone(p.mu.faults), added)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		// The old slice may be in use by strike.
		p.mu.faults = slices.DeleteFunc(slices.Clone(p.mu.faults), func(f *injected) bool { return f == added })
	}
}

// strike returns the fault that strikes this request; its action is 0 if there is none.
func (p *Proxy) strike(r *request) Fault {
	names := p.names(r)
	p.mu.Lock()
	faults := p.mu.faults
	p.mu.Unlock()
	var matched []*injected
	for _, f := range faults {
		if (f.Command == "" || slices.Contains(names, f.Command)) && (f.Match == nil || f.Match(r.args)) {
			matched = append(matched, f)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var chosen Fault
	for _, f := range matched {
		f.matches++
		if chosen.Action == 0 && (f.Nth == 0 || f.Nth == f.matches) {
			chosen = f.Fault
		}
	}
	if chosen.Action != 0 {
		p.countLocked(p.mu.struck, names)
	}
	return chosen
}

// Name gives a name to the script with this SHA1, in hex: its calls by EVALSHA or EVAL, or their read-only forms, count as a
// command of that name.
func (p *Proxy) Name(sha, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.scripts[strings.ToLower(sha)] = name
}

// RegisterScript names a script by its body; see Name.
func (p *Proxy) RegisterScript(name, body string) { p.Name(digest([]byte(body)), name) }

func digest(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}

// script returns the name of the script that a request runs, or "".
func (p *Proxy) script(r *request) string {
	if len(r.args) < 2 {
		return ""
	}
	var sha string
	switch r.command() {
	case "EVALSHA", "EVALSHA_RO":
		sha = strings.ToLower(string(r.args[1]))
	case "EVAL", "EVAL_RO":
		sha = digest(r.args[1])
	default:
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.scripts[sha]
}

// names returns all names of a request, in upper case.
func (p *Proxy) names(r *request) []string {
	names := []string{r.command()}
	if sub := r.subcommand(); sub != "" {
		names = append(names, sub)
	}
	if script := p.script(r); script != "" && !slices.Contains(names, strings.ToUpper(script)) {
		names = append(names, strings.ToUpper(script))
	}
	return names
}
