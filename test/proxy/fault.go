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
	// replies to its earlier requests and then hears nothing; the connection stays open until the client closes it.
	DropRequest Action = iota + 1
	// DropReply loses the answer, the ambiguous timeout: the command ran. From there on the client hears nothing on that
	// connection, though what it still sends is forwarded and runs. It stays open until the client closes it.
	DropReply
	// CutBefore resets the client's connection instead of forwarding the request. Replies still under way are lost.
	CutBefore
	// CutAfter resets the client's connection instead of handing on the reply: the command ran. Earlier requests have
	// been answered.
	CutAfter
	// Delay forwards the request after [Fault.Delay], and what follows on that connection behind it.
	Delay
	// ReplyError answers with [Fault.Error] in the request's turn; the server never sees the request.
	ReplyError
)

// String is the name of the constant.
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
	// Match narrows the fault down by the arguments, the command's own name first. It runs on a goroutine of the proxy, must not
	// keep or change what it is given, nor call Cut or Stop, which wait for it. Nil: every request of that name.
	Match func(args [][]byte) bool
	// Action is what happens; it must be set.
	Action Action
	// Delay is for the action of that name.
	Delay time.Duration
	// Error is what ReplyError answers, without the leading dash: "OOM command not allowed". Empty: "ERR injected fault".
	Error string
}

// injected is a fault with its count, which the proxy's mutex guards.
type injected struct {
	Fault
	matches int
}

// Inject adds a fault; remove takes it away again. Where several match a request all of them count it, and the first one injected of
// those whose turn it is strikes. A fault without a known action, or an error text of several lines, panics: it is a mistake in
// the test.
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

// strike returns the fault whose turn it is with this request; its action is 0 if there is none.
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

// Name makes EVALSHA of this SHA1, in hex, and EVAL of a body with it, count as a command of this name, their read-only forms included.
func (p *Proxy) Name(sha, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.scripts[strings.ToLower(sha)] = name
}

// RegisterScript gives a script a name by its body; see Name.
func (p *Proxy) RegisterScript(name, body string) { p.Name(digest([]byte(body)), name) }

func digest(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}

// script is the name of the script that a request runs, "" for others.
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

// names are all those a request goes by, in upper case.
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
