package preflight

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/redis/rueidis"
)

// Lack is what users lack of the rights that are needed.
type Lack struct {
	User  string   // empty: unknown, since ACL WHOAMI is refused
	Rules []string // access rules, as ACL SETUSER takes them
}

// String names the rules, and the command that grants them.
func (l Lack) String() string {
	rules := strings.Join(l.Rules, " ")
	if l.User == "" {
		return "the user lacks " + rules + " (ACL SETUSER <user> " + rules + ")"
	}
	return "user " + l.User + " lacks " + rules + " (ACL SETUSER " + l.User + " " + rules + ")"
}

// Missing returns all rights that an engine with these terms needs and its user does not have on some node; none if all are there
// or none can be asked. It asks nothing else, and takes a few round trips to each node. Where ACL DRYRUN is refused, each right
// that is missing adds an entry to ACL LOG.
func Missing(ctx context.Context, client rueidis.Client, t Terms) []Lack {
	return lacks(ctx, client, t, func(p *prober) {
		p.commands()
		p.keys()
	})
}

// MissingToPublish does the same for a publisher. Of t, only Layout and Timeout are used.
func MissingToPublish(ctx context.Context, client rueidis.Client, t Terms) []Lack {
	return missingTo(ctx, client, t, nil, publishes)
}

// MissingToSend does the same for one that announces with OnlyIfUnowned, which engine/feed's Sender does.
func MissingToSend(ctx context.Context, client rueidis.Client, t Terms) []Lack {
	return missingTo(ctx, client, t, senderPatterns(t.Layout.Service(), t.Layout.Partitions()), publishes, sends)
}

// MissingToSchedule does the same for one that changes and shows schedules (schedule.Table).
func MissingToSchedule(ctx context.Context, client rueidis.Client, t Terms) []Lack {
	return missingTo(ctx, client, t, tablePatterns(t.Layout.Service(), t.Layout.Partitions()), publishes, schedules)
}

// missingTo looks for the commands in tables, and for the keys of publishers and more.
func missingTo(ctx context.Context, client rueidis.Client, t Terms, more []string, tables ...map[Key][]string) []Lack {
	return lacks(ctx, client, t, func(p *prober) {
		p.patterns = append(publisherPatterns(p.Layout.Service(), p.Layout.Partitions()), more...)
		var wanted []Right
		for _, r := range rights {
			for _, table := range tables {
				if slices.Contains(users, r.Need) && slices.Contains(table[r.Key], r.Command) {
					wanted = append(wanted, r)
				}
			}
		}
		for i, a := range p.tryAll(wanted) {
			p.report(wanted[i], a)
		}
	})
}

// users are the needs in which the rights of who runs no engine are found, each once.
var users = []Need{Always, ToSend, ToSignal, ToSchedule}

// publishes are the commands of a publisher, for each kind of key.
var publishes = map[Key][]string{
	NoKey:       {"ping", "time", "evalsha", "eval"},
	MetaKey:     {"hmget", "hsetnx"},
	SessionsKey: {"zcount"},
	InputKey:    {"xadd"},
}

// sends are the commands that OnlyIfUnowned takes besides, for each kind of key.
var sends = map[Key][]string{
	LeaseKey: {"get", "xadd"},
	InputKey: {"xrange", "xpending", "xinfo|groups"},
}

// schedules are the commands that changing and showing schedules takes besides, for each kind of key.
var schedules = map[Key][]string{
	SchedulesKey:   {"hget", "hset", "hdel", "hscan", "hlen"},
	SignalsKey:     {"xadd"},
	CheckpointsKey: {"hget", "hdel"},
	LeaseKey:       {"get", "hdel"},
}

// looks are the commands of who only looks at how streams are spread, for each kind of key.
var looks = map[Key][]string{
	NoKey:       {"ping", "time", "evalsha", "eval"},
	MetaKey:     {"hmget"},
	WishesKey:   {"pttl", "hlen", "hgetall"},
	InputKey:    {"xlen"},
	SessionsKey: {"zrangebyscore"},
	BooksKey:    {"hget"},
	LoadKey:     {"zrange"},
	FleetKey:    {"hlen", "hgetall"},
}

func lacks(ctx context.Context, client rueidis.Client, t Terms, probe func(*prober)) []Lack {
	var all []Lack
	for addr, c := range client.Nodes() {
		n := &node{addr: addr, client: c}
		if user, err := n.ask(ctx, t, "ACL", "WHOAMI").ToString(); err == nil {
			n.user = user
		}
		p := newProber(ctx, &check{Report: &Report{}, Terms: t, client: client}, n)
		probe(p)
		for _, f := range p.Findings {
			if f.Severity == Fatal {
				all = addLack(all, n.user, f.lacks)
			}
		}
	}
	for _, l := range all {
		slices.SortStableFunc(l.Rules, func(a, b string) int { return cmp.Compare(ruleOrder(a), ruleOrder(b)) })
	}
	slices.SortFunc(all, func(a, b Lack) int { return cmp.Compare(a.User, b.User) })
	return all
}

// addLack adds the rules that a user lacks, each once.
func addLack(all []Lack, user string, rules []string) []Lack {
	if len(rules) == 0 {
		return all
	}
	i := slices.IndexFunc(all, func(l Lack) bool { return l.User == user })
	if i < 0 {
		i, all = len(all), append(all, Lack{User: user})
	}
	for _, r := range rules {
		if !slices.Contains(all[i].Rules, r) {
			all[i].Rules = append(all[i].Rules, r)
		}
	}
	return all
}

// ruleOrder puts keys before channels before commands.
func ruleOrder(rule string) int { return strings.IndexByte("~&+", rule[0]) }

// publisherPatterns are the patterns of the keys that a publisher uses.
func publisherPatterns(service string, partitions int) []string {
	input := service + "-input"
	return append(inputPatterns(service, partitions), "{"+input+"}:meta", "{"+input+"}:sessions")
}
