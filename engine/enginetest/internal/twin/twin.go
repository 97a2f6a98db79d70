package twin

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streamlease/streamlease/engine/enginetest/internal/memory"
)

// maxDifferences is how many differences are kept: what follows the first is often its consequence.
const maxDifferences = 10

// Twin is the observer of one server in memory, for one history. Its methods are called by that server; the others, once the
// server is at rest, apart from Differs and Close.
type Twin struct {
	pool    *Pool
	mu      sync.Mutex // held while a command is compared, or a connection closed
	used    []*real    // by age; the last one is the newest
	links   map[int64]map[*real]*link
	waiting map[int64]bool    // clients of which a command waits
	scripts map[string]string // texts by SHA-1

	journal     []memory.Command
	commands    map[string]int
	differences []Difference
	differs     atomic.Bool
	closed      atomic.Bool
	err         error
}

// Difference is a command that the two servers answer in different ways.
type Difference struct {
	memory.Command
	Real string // the reply of the real server
}

func (d Difference) String() string {
	v, err := decode(d.Reply)
	text := v.String()
	if err != nil {
		text = fmt.Sprintf("%q", d.Reply)
	}
	memory, real := excerpts(text, d.Real)
	return fmt.Sprintf("%s %s\n  memory: %s\n  real:   %s", d.Now.UTC().Format("15:04:05.000000"), quoted(d.Args), memory, real)
}

// excerpts returns what is around the first difference of long texts.
func excerpts(a, b string) (string, string) {
	const around = 200
	from := 0
	for from < min(len(a), len(b)) && a[from] == b[from] {
		from++
	}
	from = max(0, from-around)
	cut := func(s string) string {
		s = s[from:min(len(s), from+2*around)]
		if from > 0 {
			s = "…" + s
		}
		return s
	}
	return cut(a), cut(b)
}

// Twin returns the observer of another history. All servers of the one before are forgotten.
func (p *Pool) Twin() *Twin {
	return &Twin{pool: p, links: make(map[int64]map[*real]*link), waiting: make(map[int64]bool), scripts: make(map[string]string), commands: make(map[string]int)}
}

// Differs reports whether there is a difference so far, or the comparison failed. It may be called at any time.
func (t *Twin) Differs() bool { return t.differs.Load() }

// Differences returns the first differences, and an error if the comparison itself failed.
func (t *Twin) Differences() ([]Difference, error) { return t.differences, t.err }

// Commands returns how many commands of each name were compared. Scripts are counted as SCRIPT <first line>.
func (t *Twin) Commands() map[string]int { return t.commands }

// Close ends the connections to the real servers, and the comparison.
func (t *Twin) Close() {
	t.closed.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	for session := range t.links {
		t.left(session)
	}
}

// Begin has a real server begin with what another one has.
func (t *Twin) Begin(copied string, now time.Time) string {
	r := t.pool.reals[0]
	for _, other := range t.pool.reals {
		if !slices.Contains(t.used, other) {
			r = other
			break
		}
		if slices.Index(t.used, other) < slices.Index(t.used, r) {
			r = other
		}
	}
	t.used = append(slices.DeleteFunc(t.used, func(u *real) bool { return u == r }), r)
	t.check(r.begin(t.real(copied), now))
	return r.id
}

// real returns the server with an identity, or nil.
func (t *Twin) real(id string) *real {
	for _, r := range t.pool.reals {
		if r.id == id {
			return r
		}
	}
	return nil
}

// Left ends the connections of a client.
func (t *Twin) Left(session int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left(session)
}

func (t *Twin) left(session int64) {
	for _, l := range t.links[session] {
		l.close()
	}
	delete(t.links, session)
	delete(t.waiting, session)
}

// Ran runs a command on the real server, and compares the replies.
func (t *Twin) Ran(c memory.Command) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed.Load() {
		return
	}
	t.journal = append(t.journal, c)
	t.commands[t.name(c.Args)]++
	t.byText(c.Args)
	waited := t.waiting[c.Session]
	t.waiting[c.Session] = len(c.Reply) == 0
	run, compare := skipped(c.Args)
	if !run || t.err != nil {
		return
	}
	r := t.real(c.Server)
	t.check(r.at(c.Now))
	l, err := t.link(c.Session, r)
	t.check(err)
	if t.err != nil {
		return
	}
	args := immediate(c.Args)
	if got, _ := decode(c.Reply); waited && (got.kind == '_' || got.kind == '-') {
		return // its time is up, and nothing is run
	}
	want, raw, err := l.do(args)
	t.check(err)
	if err != nil || !compare || bytes.Equal(raw, c.Reply) || len(c.Reply) == 0 && want.kind == '_' {
		return
	}
	got, err := decode(c.Reply)
	args = t.byText(args)
	if partial(args, want) || err == nil && normal(args, got).String() == normal(args, want).String() {
		return
	}
	t.differs.Store(true)
	if len(t.differences) < maxDifferences {
		t.differences = append(t.differences, Difference{c, want.String()})
	}
}

// byText returns a script that is called by its SHA-1 as one that is called by its text.
func (t *Twin) byText(args []string) []string {
	switch name := strings.ToUpper(args[0]); {
	case name == "EVAL" && len(args) > 1:
		digest := sha1.Sum([]byte(args[1]))
		t.scripts[hex.EncodeToString(digest[:])] = args[1]
	case name == "SCRIPT" && len(args) > 2 && strings.EqualFold(args[1], "LOAD"):
		return t.byText([]string{"EVAL", args[2]})
	case name == "EVALSHA" && len(args) > 1 && t.scripts[args[1]] != "":
		return append([]string{"EVAL", t.scripts[args[1]]}, args[2:]...)
	}
	return args
}

// link returns the client's connection to a server.
func (t *Twin) link(session int64, r *real) (*link, error) {
	l := t.links[session][r]
	if l != nil {
		return l, nil
	}
	l, err := dial(r.server.Addr())
	if err == nil {
		if t.links[session] == nil {
			t.links[session] = make(map[*real]*link)
		}
		t.links[session][r] = l
	}
	return l, err
}

// name returns what a command is counted under.
func (t *Twin) name(args []string) string {
	name := strings.ToUpper(args[0])
	if len(args) < 2 {
		return name
	}
	switch name {
	case "EVAL":
		return "SCRIPT " + title(args[1])
	case "EVALSHA":
		return "SCRIPT " + args[1]
	case "CLIENT", "XINFO", "XGROUP", "SCRIPT":
		return name + " " + strings.ToUpper(args[1])
	}
	return name
}

func (t *Twin) check(err error) {
	if t.err == nil && err != nil {
		t.err = err
		t.differs.Store(true)
	}
}

// title returns the first line of a script.
func title(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(strings.TrimLeft(line, "- "))
}

// quoted returns a command for people, with the title of a script in place of its text.
func quoted(args []string) string {
	var b strings.Builder
	for i, a := range args {
		if i == 1 && strings.EqualFold(args[0], "EVAL") {
			a = title(a)
		}
		fmt.Fprintf(&b, "%q ", a)
	}
	return strings.TrimSpace(b.String())
}
