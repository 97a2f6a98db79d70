package preflight

import (
	"context"
	"slices"

	"github.com/redis/rueidis"
)

// chunk is how many questions are sent together: fewer than those for which the client uses a separate connection, and a fraction
// of a millisecond of the server's time.
const chunk = 500

// prober asks one node what the user may do.
type prober struct {
	*check
	ctx    context.Context
	node   *node
	exists bool // the service is in Redis
	moving bool // consumers of another library have entries pending
	dryRun bool // ACL DRYRUN is allowed, so no command has to be tried

	patterns []string // of the keys that the user must be able to use
}

// newProber returns a prober for the rights of an engine. It asks whether ACL DRYRUN is allowed.
func newProber(ctx context.Context, c *check, n *node) *prober {
	p := &prober{check: c, ctx: ctx, node: n, patterns: KeyPatterns(c.Layout.Service(), c.Layout.Partitions())}
	p.dryRun = n.user != "" && p.ask("ACL", "DRYRUN", n.user, "PING") == allowed
	return p
}

// tryAll asks for each right, on partition 0.
func (p *prober) tryAll(wanted []Right) []answer {
	questions := make([][]string, len(wanted))
	for i, r := range wanted {
		questions[i] = r.command(p.Layout, 0)
		switch {
		case r.Command == "psubscribe":
			questions[i] = append(questions[i], ChannelPatterns(p.Layout.Service())[0])
			if !p.dryRun {
				questions[i] = nil
			}
		case r.Command == "hsetnx" && !p.exists && !p.dryRun:
			questions[i] = p.withoutWriting(questions[i])
		}
	}
	answers := p.askAll(questions)
	eval := slices.IndexFunc(wanted, func(r Right) bool { return r.Command == "eval" })
	noEval := answers[eval] == noCommand
	for i, r := range wanted {
		switch {
		case r.Command == "psubscribe" && !p.dryRun:
			answers[i] = p.subscribe()
		case noEval && questions[i][0] == "EVAL" && r.Command != "eval":
			answers[i] = unknown
		}
		if r.Command == "hsetnx" && answers[i] == unknown {
			answers[i] = p.queue(r.command(p.Layout, 0))
		}
	}
	return answers
}

// withoutWriting tries a command in a script that may not write: the server checks the access rights first. Before Redis 7.0 there
// are no such scripts.
func (p *prober) withoutWriting(question []string) []string {
	return append([]string{"EVAL", "#!lua flags=no-writes\nreturn redis.pcall(unpack(ARGV))", "0"}, question...)
}

// queue tries a command in a transaction that is discarded, on a separate connection: the server checks the access rights before it
// queues. The right to begin one is not among those that an engine needs, so the answer may be unknown.
func (p *prober) queue(question []string) answer {
	client, free := p.node.client.Dedicate()
	defer free()
	defer client.Close() // discards it, too
	ctx, cancel := context.WithTimeout(p.ctx, p.patience())
	defer cancel()
	if client.Do(ctx, client.B().Multi().Build()).Error() != nil {
		return unknown
	}
	answer := classify(client.Do(ctx, client.B().Arbitrary(question...).Build()), question[0])
	_ = client.Do(ctx, client.B().Discard().Build()).Error()
	return answer
}

// askAll asks questions in few round trips. The answer to a nil question is unknown.
func (p *prober) askAll(questions [][]string) []answer {
	answers := make([]answer, len(questions))
	for from := 0; from < len(questions); from += chunk {
		var commands rueidis.Commands
		var index []int
		for i := from; i < min(from+chunk, len(questions)); i++ {
			if q := questions[i]; q != nil {
				commands = append(commands, p.build(q))
				index = append(index, i)
			}
		}
		ctx, cancel := context.WithTimeout(p.ctx, p.patience())
		for j, result := range p.node.client.DoMulti(ctx, commands...) {
			answers[index[j]] = classify(result, questions[index[j]][0])
		}
		cancel()
	}
	return answers
}

// build returns the command that asks a question.
func (p *prober) build(question []string) rueidis.Completed {
	if p.dryRun {
		question = append([]string{"ACL", "DRYRUN", p.node.user}, question...)
	}
	return p.node.client.B().Arbitrary(question...).Build()
}

// ask asks one question, as it stands.
func (p *prober) ask(question ...string) answer {
	return classify(p.node.ask(p.ctx, p.Terms, question...), question[0])
}

// subscribe tries to subscribe, on a separate connection.
func (p *prober) subscribe() answer {
	client, free := p.node.client.Dedicate()
	defer free()
	defer client.Close()
	ctx, cancel := context.WithTimeout(p.ctx, p.patience())
	defer cancel()
	client.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) {}})
	err := client.Do(ctx, client.B().Psubscribe().Pattern(ChannelPatterns(p.Layout.Service())[0]).Build()).Error()
	return classifyError(err, "psubscribe")
}
