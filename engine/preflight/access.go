package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/lease"
)

// rights asks every node what the user may do. That includes replicas: each node has users of its own, and any replica may become
// the master.
func (c *check) rights(ctx context.Context, exists bool) {
	moving := !c.Foreign && c.othersPending(ctx)
	for _, n := range c.nodes {
		if n.err != nil {
			continue
		}
		p := newProber(ctx, c, n)
		p.exists, p.moving = exists, moving
		p.commands()
		p.keys()
		p.types()
	}
}

// othersPending reports whether consumers of the library that this one succeeds have entries pending. They know only partition 0.
func (c *check) othersPending(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	b := c.client.B()
	consumers, _ := c.client.Do(ctx, b.XinfoConsumers().Key(c.Layout.Keys(0).Input).Group(c.Layout.Group()).Build()).ToArray()
	return slices.ContainsFunc(consumers, func(m rueidis.RedisMessage) bool {
		fields, _ := m.AsMap()
		name, pending := fields["name"], fields["pending"]
		text, _ := name.ToString()
		n, _ := pending.AsInt64()
		return n > 0 && strings.HasPrefix(text, lease.LegacyPrefix)
	})
}

// commands asks for all rights on partition 0.
func (p *prober) commands() {
	var wanted []Right
	for _, r := range rights {
		if p.wants(r) {
			wanted = append(wanted, r)
		}
	}
	answers := p.tryAll(wanted)
	refused := make(map[Need]bool)
	for i, r := range wanted {
		switch r.Need {
		case ToSettle, InsteadOfInfo:
			refused[r.Need] = answers[i] == noCommand
		default:
			p.report(r, answers[i])
		}
	}
	if refused[ToSettle] {
		p.reportNoInfo(p.client.Mode() == rueidis.ClientModeCluster && !refused[InsteadOfInfo])
	}
}

// reportNoInfo reports that INFO is refused: only CLUSTER MYID can then tell a server from its successor.
func (p *prober) reportNoInfo(myID bool) {
	if myID {
		p.lack(Note, p.who()+" may not run INFO; servers are told apart by CLUSTER MYID, which a restart does not change", "", "+info")
		return
	}
	p.lack(Fatal, p.who()+" may not run INFO, which tells a server from its successor", ", or use WithSettle(false)", "+info")
}

// wants reports whether a right is needed on these terms.
func (p *prober) wants(r Right) bool {
	switch r.Need {
	case OnCluster:
		return p.client.Mode() == rueidis.ClientModeCluster
	case ToSettle, InsteadOfInfo:
		return p.Settle
	case WithHints:
		return p.Hints
	case WithHintsSet:
		return p.Hints && p.SetEvents
	case MovingOver:
		return p.moving
	case ToOperate, ToSend, ToAsk:
		return false // for those who change the service, or write to its streams, who are not the users of its engines
	case ToSchedule:
		return p.Schedules
	case WithTracking:
		return false // a client that needs it is refused when it connects
	}
	return true
}

// report adds the finding that follows from an answer.
func (p *prober) report(r Right, a answer) {
	severity, only := p.grade(r)
	name := strings.ToUpper(strings.ReplaceAll(r.Command, "|", " "))
	key := r.Key.of(p.Layout, 0)
	switch a {
	case noCommand:
		p.lack(severity, fmt.Sprintf("%s may not run %s%s", p.who(), name, only), "", "+"+r.Command)
	case noKey:
		p.reportNoKey(severity, r.Key, key, name)
	case noChannel:
		p.lack(severity, fmt.Sprintf("%s may not subscribe to expired keys", p.who()), "", prefixed("&", ChannelPatterns(p.Layout.Service()))...)
	case missing:
		if r.Need == Always {
			p.add(Fatal, Server, p.node.addr, "the server does not know "+name, "Use Redis 6.2 or newer, or Valkey")
		}
	case wrongType:
		p.reportType(severity, key)
	case unknown:
		p.add(Note, Rights, p.node.addr, fmt.Sprintf("whether %s may run %s is unknown: it cannot be tried without writing", p.who(), name), "")
	}
}

// grade returns how bad it is that a right is missing, and why.
func (p *prober) grade(r Right) (severity Severity, only string) {
	severity = Fatal
	switch r.Need {
	case OnCluster, WithHints, WithHintsSet:
		severity = Warning
	case MovingOver:
		only = ", which an engine needs for the locks of another library's consumers that have entries pending"
	case ToInspect:
		severity, only = Note, ", which only inspecting dead letters needs"
	case ToCheckpoint:
		severity, only = p.checkpointing()
	case ToSchedule:
		only = ", without which no schedule ticks"
	case ToSignal:
		severity, only = Warning, ", without which owners hear of further announcements with their next renewals"
	case ToBalance:
		severity, only = Warning, ", without which streams are not spread evenly over processes"
	case ToStop:
		severity, only = Note, ", without which a shutdown closes the connections of reads that wait"
	}
	if r.Command == "cluster|shards" || r.Command == "config|get" {
		severity = Note // the engine has another way
	}
	return severity, only
}

// checkpointing returns how bad it is that no checkpoints can be stored, and why.
func (p *prober) checkpointing() (severity Severity, without string) {
	switch {
	case p.Schedules:
		return Warning, ", without which no ticks are on record: after each deploy the last ones are repeated, or missed ones are not noticed"
	case p.Reads == nil:
		return Warning, ", without which no checkpoints are stored"
	case p.Reads.Latest:
		return Fatal, ", without which no stream begins, since Latest stores where"
	}
	return Warning, ", without which no positions are stored: the next owner of a stream begins where Start says"
}

// reportNoKey reports that a key is refused. If that is fatal, the finding does not depend on the command that was tried first.
func (p *prober) reportNoKey(severity Severity, kind Key, key, name string) {
	rules := prefixed("~", p.patterns)
	if kind.named() {
		key += "…"
	}
	if severity == Fatal {
		p.lack(severity, fmt.Sprintf("%s may not use the key %s", p.who(), key), "", rules...)
		return
	}
	p.lack(severity, fmt.Sprintf("%s may not use the key %s with %s", p.who(), key, name), "", rules...)
}

// keys asks for the keys of all other partitions, each with the first command for its kind.
func (p *prober) keys() {
	var first []Right
	for _, kind := range keyKinds {
		if kind == SchedulesKey && !p.Schedules {
			continue
		}
		first = append(first, rights[slices.IndexFunc(rights, func(r Right) bool { return r.Key == kind })])
	}
	for partition := 1; partition < p.Layout.Partitions(); partition++ {
		var questions [][]string
		for _, r := range first {
			questions = append(questions, r.command(p.Layout, partition))
		}
		for i, a := range p.askAll(questions) {
			key := first[i].Key.of(p.Layout, partition)
			severity, _ := p.grade(first[i])
			switch a {
			case noKey:
				p.reportNoKey(severity, first[i].Key, key, strings.ToUpper(first[i].Command))
			case wrongType:
				p.reportType(severity, key)
			}
		}
	}
}

// types reads keys to find those of another type: neither a dry run nor a command with bad arguments looks at keys.
func (p *prober) types() {
	p.dryRun = false
	p.typesOf(Warning, []string{"HMGET", p.Layout.Wishes(), "-"})
	for partition := range p.Layout.Partitions() {
		k := p.Layout.Keys(partition)
		p.typesOf(Fatal, []string{"XLEN", k.Input}, []string{"ZCOUNT", k.Sessions, "1", "0"}, []string{"ZCOUNT", k.Later, "1", "0"},
			[]string{"GET", k.Token}, []string{"XLEN", k.DeadLetters})
		if p.Schedules {
			p.typesOf(Fatal, []string{"HGET", k.Schedules, "-"})
		}
		p.typesOf(Warning, []string{"HGET", k.Books, "-"}, []string{"ZRANGE", k.Load, "1", "0"}, []string{"HMGET", k.Fleet, "-"})
	}
}

// typesOf reports the keys of other types that these commands would read.
func (p *prober) typesOf(severity Severity, questions ...[]string) {
	for i, a := range p.askAll(questions) {
		if a == wrongType {
			p.reportType(severity, questions[i][1])
		}
	}
}

// reportType reports a key of another type.
func (p *prober) reportType(severity Severity, key string) {
	p.add(severity, Layout, p.node.addr, "a key of another type has the name of a key of this library: "+key, "Delete or rename it")
}

// lack reports that access rules are missing. or is what else helps, and may be empty.
func (p *prober) lack(severity Severity, seen, or string, rules ...string) {
	p.add(severity, Rights, p.node.addr, seen, p.grant(strings.Join(rules, " "))+or)
	for i := range p.Findings {
		if f := &p.Findings[i]; f.Seen == seen {
			f.lacks = rules
		}
	}
}

// prefixed returns access rules of patterns.
func prefixed(with string, patterns []string) []string {
	rules := make([]string, len(patterns))
	for i, pattern := range patterns {
		rules[i] = with + pattern
	}
	return rules
}

// who names the user in findings.
func (p *prober) who() string {
	if p.node.user != "" {
		return "user " + p.node.user
	}
	return "the user"
}

// grant returns the command that gives the user access rules.
func (p *prober) grant(rules string) string {
	name := p.node.user
	if name == "" {
		name = "<user>"
	}
	return "ACL SETUSER " + name + " " + rules
}
