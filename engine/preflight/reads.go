package preflight

import (
	"context"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// use is a command on data streams.
type use struct {
	Right
	severity Severity
	without  string // what a feed does not do that may not run it; or, for EVALSHA, that may not do so with the key
}

// uses are the commands on data streams.
func (r *Reading) uses() []use {
	looks := use{severity: Warning,
		without: "a stream that was deleted and begun again is noticed late or not at all, and Finish and IdleDone end no stream"}
	if r.Latest {
		looks = use{severity: Fatal, without: "no stream begins, since Latest looks for its end"}
	}
	all := []use{
		{inUse("xread STREAMS %k x"), Fatal, "nothing is read"},
		{inUse("xrange %k 0-0 0-0"), Fatal, "nothing is read"},
		{inUse("xinfo|stream %k FULL COUNT x"), looks.severity, looks.without},
		{inUse("evalsha 0000000000000000000000000000000000000000 1 %k"), looks.severity, looks.without},
		{inUse("exists %k"), Note, "streams of which nothing was read yet are looked at one by one, by a script"},
	}
	if r.Trims {
		all = append(all, use{inUse("xtrim %k " + nothing + " 0"), Warning, "no handled message is deleted"})
	}
	return all
}

// inUse returns the right to run a command on a data stream. MissingToRead does not know any, and tries it on the input stream.
func inUse(command string) Right { return on(InputKey, Always, command)[0] }

// tracking is the right to hear of writes.
var tracking = on(NoKey, Always, "client|tracking "+nothing)[0]

// rights are those without which MissingToRead says that something is missing, those to store positions among them.
func (r *Reading) rights() (all []Right) {
	for _, u := range r.uses() {
		if u.Command != "evalsha" && u.Command != "exists" {
			all = append(all, u.Right)
		}
	}
	if r.Tracks {
		all = append(all, tracking)
	}
	for _, right := range rights {
		if right.Need == ToCheckpoint {
			all = append(all, right)
		}
	}
	return all
}

// ReadingRules returns the access rules that a process needs, besides those of its engine, to read data streams with engine/feed.
func ReadingRules(r Reading) []string {
	var rules []string
	for _, stream := range r.Streams {
		rules = append(rules, "~"+escaped(stream))
	}
	for _, u := range r.uses() {
		if u.Command != "evalsha" { // an engine has it
			rules = append(rules, "+"+u.Command)
		}
	}
	if r.Tracks {
		rules = append(rules, "+"+tracking.Command)
	}
	return rules
}

// escaped returns the pattern of access rules for data streams: only a "*" at the end is more than itself.
func escaped(stream string) string {
	name, many := strings.CutSuffix(stream, "*")
	name = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(name)
	if many {
		return name + "*"
	}
	return name
}

// MissingToRead returns the rights that engine/feed needs besides those that Missing looks for, and that the user does not have on some
// node; none if all are there or none can be asked. Rights to data streams are not among them: their names are not known. Of t, only
// Layout and Timeout are used. A user that has all of them leaves nothing in ACL LOG.
func MissingToRead(ctx context.Context, client rueidis.Client, t Terms, r Reading) []Lack {
	wanted := r.rights()
	if !slices.ContainsFunc(lookAtRights(ctx, client, t, wanted), func(a answer) bool { return a == noCommand }) {
		return nil
	}
	return lacks(ctx, client, t, func(p *prober) {
		p.dryRun = false // what was refused is refused again, whatever data streams the user may use
		for i, a := range p.askAll(p.questions(wanted)) {
			if a == noCommand {
				p.lack(Fatal, p.who()+" may not run "+wanted[i].Command, "", "+"+wanted[i].Command)
			}
		}
	})
}

// lookAtRights tries rights on all nodes, as they are, and returns what they answer.
func lookAtRights(ctx context.Context, client rueidis.Client, t Terms, wanted []Right) (answers []answer) {
	for addr, c := range client.Nodes() {
		p := &prober{check: &check{Report: &Report{}, Terms: t, client: client}, ctx: ctx, node: &node{addr: addr, client: c}}
		answers = append(answers, p.askAll(p.questions(wanted))...)
	}
	return answers
}

// questions returns what to send to try rights on partition 0.
func (p *prober) questions(wanted []Right) [][]string {
	questions := make([][]string, len(wanted))
	for i, r := range wanted {
		questions[i] = r.command(p.Layout, 0)
	}
	return questions
}
