package preflight

import (
	"context"
	"slices"

	"github.com/redis/rueidis"
)

// Reading is what engine/feed asks of the servers.
type Reading struct {
	Tracks bool // hears of writes by CLIENT TRACKING
	Trims  bool // deletes what was handled
}

// rights are those to run commands on data streams and to store positions. Which keys are data streams is not known before they are
// announced, so the commands are tried on the input stream.
func (r Reading) rights() []Right {
	all := on(InputKey, Always, "xread STREAMS %k x", "xrange %k 0-0 0-0", "xinfo|stream %k "+nothing)
	if r.Trims {
		all = append(all, on(InputKey, Always, "xtrim %k "+nothing+" 0")...)
	}
	if r.Tracks {
		all = append(all, on(NoKey, Always, "client|tracking "+nothing)...)
	}
	for _, right := range rights {
		if right.Need == ToCheckpoint {
			all = append(all, right)
		}
	}
	return all
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
		questions := make([][]string, len(wanted))
		for i := range wanted {
			questions[i] = wanted[i].command(p.Layout, 0)
		}
		for i, a := range p.askAll(questions) {
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
		questions := make([][]string, len(wanted))
		for i := range wanted {
			questions[i] = wanted[i].command(p.Layout, 0)
		}
		answers = append(answers, p.askAll(questions)...)
	}
	return answers
}
