package preflight

import (
	"slices"
	"strings"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/cluster/expiry"
)

// Need is what a right is needed for.
type Need uint8

const (
	// Always means that nothing works without it.
	Always Need = iota + 1
	// ToSettle is for INFO, which tells a server from its successor. It is not needed with WithSettle(false).
	ToSettle
	// InsteadOfInfo is for CLUSTER MYID, which is enough on a cluster if INFO is refused. A restart does not change that ID.
	InsteadOfInfo
	// OnCluster is for the client, which finds the masters of a cluster with it, and unless its options name a single
	// server (rueidis.ClientOption.ForceSingleClient), finds out whether there is a cluster.
	OnCluster
	// WithHints is for WithExpired.
	WithHints
	// WithHintsSet is for WithKeyspaceEvents.
	WithHintsSet
	// MovingOver is for a service with consumers of another library on the same input stream, unless WithForeignConsumers was
	// given: the engine checks whether their locks exist, which are keys named after data streams.
	MovingOver
	// ToInspect is for scan.Inspector only.
	ToInspect
	// ToOperate is for the calls of scan.Inspector that change a stopped service as a whole, in addition to ToInspect.
	ToOperate
	// ToStop is for CLIENT UNBLOCK, with which a shutdown ends the reads that wait. Without it their connections are closed, and
	// what they may have been given meanwhile is looked for.
	ToStop
	// ToSignal is for signals, which reach owners within a beat. Without it they hear of what is announced by renewals.
	ToSignal
	// WithTracking is for clients with a client-side cache, which is the client library's default (ClientOption.DisableCache).
	// Nothing here reads through it. An engine's own clients have none, nor have those made with engine.ClientOption.
	WithTracking
	// ToSend is for announcements with OnlyIfUnowned, by publishers and senders only.
	ToSend
	// ToCheckpoint is for checkpoints: without it nobody can store any, and everything else works.
	ToCheckpoint
	// ToBalance is for spreading streams evenly over processes. A process without it takes what comes, and hands nothing back to even
	// that out; everything else works.
	ToBalance
	// ToAsk is for operators who wish something of processes (scan.Inspector.Ask), in addition to LookRules.
	ToAsk
	// ToSchedule is for schedules, and for who changes and shows them (engine/schedule). Without it no schedule ticks; everything else works.
	ToSchedule
)

// Key is a kind of key of a service.
type Key uint8

// The kinds, named after the fields of cluster.Keys. NoKey is that of commands without a key.
const (
	NoKey Key = iota
	InputKey
	SessionsKey
	LaterKey
	TokenKey
	ScanKey
	LeaseKey
	RecoverKey
	DeadLettersKey
	SignalsKey
	MetaKey
	CheckpointsKey
	BooksKey
	LoadKey
	FleetKey
	WishesKey
	CrashedKey
	SchedulesKey
)

// keyKinds are the kinds of keys of each partition, and serviceKeys are those of which a service has one.
var (
	keyKinds = []Key{InputKey, SessionsKey, LaterKey, TokenKey, ScanKey, LeaseKey, RecoverKey, DeadLettersKey, CheckpointsKey, SignalsKey,
		BooksKey, LoadKey, FleetKey, CrashedKey, SchedulesKey}
	serviceKeys = []Key{MetaKey, WishesKey}
)

// of returns the key of this kind in a partition. For leases, marks of recovery and counts of crashes it returns a
// name that none has.
func (k Key) of(layout *cluster.Layout, partition int) string {
	keys := layout.Keys(partition)
	switch k {
	case InputKey:
		return keys.Input
	case SessionsKey:
		return keys.Sessions
	case LaterKey:
		return keys.Later
	case TokenKey:
		return keys.Token
	case ScanKey:
		return keys.Scan
	case LeaseKey:
		return keys.Lease("")
	case RecoverKey:
		return keys.Recover("")
	case DeadLettersKey:
		return keys.DeadLetters
	case CheckpointsKey:
		return keys.Checkpoints
	case SignalsKey:
		return keys.Signals
	case BooksKey:
		return keys.Books
	case LoadKey:
		return keys.Load
	case FleetKey:
		return keys.Fleet
	case CrashedKey:
		return keys.Crashed("")
	case SchedulesKey:
		return keys.Schedules
	case MetaKey:
		return layout.Meta()
	case WishesKey:
		return layout.Wishes()
	}
	return ""
}

// named reports whether there is a key of this kind for each of several names.
func (k Key) named() bool { return k == LeaseKey || k == RecoverKey || k == CrashedKey }

// KindOf returns the kind of a key of a service, and whether it is one.
func KindOf(layout *cluster.Layout, key string) (kind Key, ok bool) {
	for _, kind := range serviceKeys {
		if key == kind.of(layout, 0) {
			return kind, true
		}
	}
	for p := range layout.Partitions() {
		for _, kind := range keyKinds {
			name := kind.of(layout, p)
			if key == name || kind.named() && strings.HasPrefix(key, name) {
				return kind, true
			}
		}
	}
	return NoKey, false
}

// Right is a command that is used on a kind of key.
type Right struct {
	// Command is the name in access rules: "xadd", "xgroup|create".
	Command string
	Key     Key
	Need    Need

	// args are arguments with which the command changes nothing: it finds nothing to change, or the server refuses its arguments
	// once it has checked the access rights. "%k" stands for the key, "%g" for the group.
	args []string
}

// nothing is the name of a group, a consumer and a member that do not exist.
const nothing = "!streamlease-preflight"

// on returns the rights to run commands, given with their arguments, on a kind of key.
func on(key Key, need Need, commands ...string) (rights []Right) {
	for _, c := range commands {
		name, args, _ := strings.Cut(c, " ")
		rights = append(rights, Right{Command: name, Key: key, Need: need, args: strings.Fields(args)})
	}
	return rights
}

// rights are all rights that engines, publishers and inspectors use. Tests compare them with the scripts, and with what a server
// sees of a service from its start to its end.
var rights = slices.Concat(
	on(NoKey, Always, "ping", "time", "evalsha 0000000000000000000000000000000000000000 0", "eval return 0"),
	on(NoKey, ToSettle, "info server"),
	on(NoKey, InsteadOfInfo, "cluster|myid"),
	on(NoKey, OnCluster, "cluster|slots", "cluster|shards"),
	on(NoKey, ToStop, "client|unblock 0"),
	on(NoKey, WithTracking, "client|tracking OFF"),
	on(InputKey, Always,
		"xreadgroup GROUP %g "+nothing+" STREAMS %k x", "xadd %k 0-0 f v", "xack %k %g 0-0", "xdel %k 0-0",
		"xclaim %k %g "+nothing+" x 0-0", "xpending %k %g - + 1", "xrange %k 0-0 0-0", "xlen %k", "xgroup|create %k %g x",
		"xgroup|createconsumer %k "+nothing+" "+nothing, "xgroup|delconsumer %k "+nothing+" "+nothing,
		"xinfo|consumers %k "+nothing, "xinfo|groups %k"),
	on(SessionsKey, Always, "pexpire %k x", "zadd %k x "+nothing, "zrem %k "+nothing, "zscore %k "+nothing, "zcount %k 1 0",
		"zrangebyscore %k 1 0"),
	on(LaterKey, Always, "zadd %k x "+nothing, "zrem %k "+nothing, "zcount %k 1 0", "zrangebyscore %k 1 0", "zcard %k",
		"zrange %k 1 0"),
	on(TokenKey, Always, "get %k", "set %k x x"),
	on(LeaseKey, Always, "get %k", "mget %k", "set %k x x", "del %k", "pexpire %k x", "pexpireat %k x", "pttl %k"),
	on(ScanKey, Always, "set %k x x", "pttl %k"),
	on(RecoverKey, Always, "get %k", "set %k x x", "del %k", "pexpire %k x", "pttl %k"),
	on(DeadLettersKey, Always, "xadd %k 0-0 f v", "xlen %k"),
	on(DeadLettersKey, ToInspect, "xrange %k 0-0 0-0", "xrevrange %k 0-0 0-0", "xdel %k 0-0"),
	on(CheckpointsKey, ToCheckpoint, "pttl %k", "hmget %k s", "hset %k f v f", "hdel %k -", "hscan %k 0 COUNT 1"),
	on(SignalsKey, ToSignal, "xadd %k 0-0 f v", "xrange %k 0-0 0-0", "xdel %k 0-0"),
	on(BooksKey, ToBalance, "pttl %k", "hget %k sums", "hset %k f v f"),
	on(LoadKey, ToBalance, "zadd %k x "+nothing, "zrange %k 1 0", "zrem %k "+nothing),
	on(FleetKey, ToBalance, "pttl %k", "hget %k "+nothing, "hset %k f v f", "hdel %k "+nothing, "hlen %k", "hgetall %k"),
	on(CrashedKey, ToBalance, "get %k", "set %k x x"),
	on(WishesKey, ToBalance, "pttl %k", "hlen %k", "hgetall %k", "hdel %k "+nothing),
	on(WishesKey, ToAsk, "hset %k f v f", "hget %k "+nothing),
	on(SchedulesKey, ToSchedule, "hget %k "+nothing, "hset %k f v f", "hdel %k "+nothing, "hscan %k 0 COUNT 1", "hlen %k"),
	on(CheckpointsKey, ToSchedule, "hget %k "+nothing, "hdel %k "+nothing),
	on(LeaseKey, ToSchedule, "hdel %k "+nothing),
	on(MetaKey, Always, "hmget %k format", "hsetnx %k format x"),
	on(LaterKey, ToInspect, "zscore %k "+nothing),
	on(MetaKey, ToInspect, "hdel %k "+nothing),
	on(NoKey, ToOperate, "scan 0 COUNT 1"),
	on(MetaKey, ToOperate, "hset %k", "del %k"),
	on(InputKey, ToOperate, "type %k", "exists %k", "unlink %k", "xrevrange %k 0-0 0-0"),
	on(SessionsKey, ToOperate, "type %k", "exists %k", "unlink %k", "zcard %k"),
	on(LaterKey, ToOperate, "type %k", "exists %k", "unlink %k"),
	on(TokenKey, ToOperate, "type %k", "exists %k", "unlink %k"),
	on(ScanKey, ToOperate, "type %k", "exists %k", "unlink %k"),
	on(DeadLettersKey, ToOperate, "type %k", "exists %k", "unlink %k"),
	on(SignalsKey, ToOperate, "type %k", "exists %k", "unlink %k"),
	on(CheckpointsKey, ToOperate, "type %k", "exists %k", "unlink %k", "hlen %k", "pttl %k", "hscan %k 0 COUNT 1", "hmget %k s",
		"hset %k", "hdel %k -"),
	on(SchedulesKey, ToOperate, "type %k", "exists %k", "unlink %k", "hlen %k", "pttl %k", "hscan %k 0 COUNT 1", "hmget %k s",
		"hset %k", "hdel %k -"),
	on(BooksKey, ToOperate, "type %k", "exists %k", "unlink %k", "hlen %k"),
	on(LoadKey, ToOperate, "type %k", "exists %k", "unlink %k", "zcard %k"),
	on(FleetKey, ToOperate, "type %k", "exists %k", "unlink %k", "hlen %k"),
	on(WishesKey, ToOperate, "type %k", "exists %k", "unlink %k", "hlen %k"),
	on(LeaseKey, ToOperate, "unlink %k"),
	on(RecoverKey, ToOperate, "unlink %k"),
	on(CrashedKey, ToOperate, "unlink %k"),
	on(LeaseKey, MovingOver, "exists %k"),
	on(LeaseKey, ToSend, "xadd %k 0-0 f v"),
	on(NoKey, WithHints, "psubscribe"),
	on(NoKey, WithHints, "config|get notify-keyspace-events"),
	on(NoKey, WithHintsSet, "config|set "+nothing+" x"),
)

// AllRights returns the rights that engines, publishers and inspectors use.
func AllRights() []Right { return slices.Clone(rights) }

// command returns what to send to try a right, for a key of a partition.
func (r Right) command(layout *cluster.Layout, partition int) []string {
	return r.commandOn(r.Key.of(layout, partition), layout.Group())
}

// commandOn does the same for any key.
func (r Right) commandOn(key, group string) []string {
	args := strings.Split(strings.ToUpper(r.Command), "|")
	for _, a := range r.args {
		switch a {
		case "%k":
			a = key
		case "%g":
			a = group
		}
		args = append(args, a)
	}
	return args
}

// KeyPatterns returns the patterns of the keys of a service, without the "~" that access rules put in front. With more than one
// partition, they match all keys that begin with "<service>-input-".
func KeyPatterns(service string, partitions int) []string {
	input := service + "-input"
	patterns := []string{input, "{" + input + "}*"}
	if partitions > 1 {
		patterns = append(patterns, input+"-*", "{"+input+"-*")
	}
	return patterns
}

// ChannelPatterns returns the patterns that WithExpired may subscribe to, without the "&" that access rules put in front. It uses
// one of them, depending on what servers report.
func ChannelPatterns(service string) []string {
	return []string{expiry.ByEvent, expiry.ByKey(service)}
}

// Rules returns the access rules of a user that may do what these needs require on a service, and nothing else. They follow
// "ACL SETUSER <name> on >password resetchannels".
func Rules(service string, partitions int, needs ...Need) []string {
	var rules []string
	for _, p := range KeyPatterns(service, partitions) {
		rules = append(rules, "~"+p)
	}
	if slices.Contains(needs, WithHints) {
		for _, p := range ChannelPatterns(service) {
			rules = append(rules, "&"+p)
		}
	}
	for _, r := range rights {
		if rule := "+" + r.Command; slices.Contains(needs, r.Need) && !slices.Contains(rules, rule) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// PublisherRules returns the access rules of a user that publishes to a service and does nothing else. Prefer ProducerRules where
// producers can do without a Publisher: what a script may do, a publisher may, and a script that does not end blocks the server.
func PublisherRules(service string, partitions int) []string {
	rules := prefixed("~", publisherPatterns(service, partitions))
	for _, key := range []Key{NoKey, MetaKey, SessionsKey, InputKey} {
		rules = append(rules, prefixed("+", publishes[key])...)
	}
	return append(rules, clusterRules...)
}

// ProducerRules returns the access rules of a user that adds to the input streams itself, by XADD, and does nothing else.
func ProducerRules(service string, partitions int) []string {
	return slices.Concat(prefixed("~", inputPatterns(service, partitions)), []string{"+ping", "+xadd"}, clusterRules)
}

// SignalRules returns the access rules that a producer or publisher needs besides its own to send signals.
func SignalRules(service string, partitions int) []string {
	rules := []string{"~{" + service + "-input}:signals"}
	if partitions > 1 {
		rules = append(rules, "~{"+service+"-input-*}:signals")
	}
	return rules
}

// LookRules returns the access rules of a user that looks at how streams are spread, and at what operators wish, and does nothing else
// (scan.Inspector: Balance, Wishes).
func LookRules(service string, partitions int) []string {
	rules := prefixed("~", KeyPatterns(service, partitions))
	for _, kind := range slices.Concat([]Key{NoKey}, serviceKeys, keyKinds) {
		for _, rule := range prefixed("+", looks[kind]) {
			if !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
		}
	}
	return append(rules, clusterRules...)
}

// AskRules returns the access rules that such a user needs besides to wish something (scan.Inspector: Ask, Withdraw).
func AskRules() []string {
	return []string{"+hset", "+hdel", "+hget", "+xadd"}
}

// SenderRules returns the access rules that a publisher needs besides its own to announce with OnlyIfUnowned.
func SenderRules(service string, partitions int) []string {
	rules := prefixed("~", senderPatterns(service, partitions))
	for _, key := range []Key{LeaseKey, InputKey} {
		for _, r := range prefixed("+", sends[key]) {
			if r != "+xadd" { // a publisher has it
				rules = append(rules, r)
			}
		}
	}
	return rules
}

// TableRules returns the access rules of a user that puts, changes and shows schedules (schedule.Table) and does nothing else. What a publisher
// needs is among them.
func TableRules(service string, partitions int) []string {
	rules := append(PublisherRules(service, partitions), prefixed("~", tablePatterns(service, partitions))...)
	for _, key := range []Key{SchedulesKey, SignalsKey, CheckpointsKey, LeaseKey} {
		for _, r := range prefixed("+", schedules[key]) {
			if !slices.Contains(rules, r) {
				rules = append(rules, r)
			}
		}
	}
	return rules
}

// tablePatterns are the patterns of the keys that a table uses and a publisher does not.
func tablePatterns(service string, partitions int) (patterns []string) {
	for _, key := range []string{":schedules", ":signals", ":checkpoints", ":lease:*"} {
		patterns = append(patterns, "{"+service+"-input}"+key)
		if partitions > 1 {
			patterns = append(patterns, "{"+service+"-input-*}"+key)
		}
	}
	return patterns
}

// senderPatterns are the patterns of the leases.
func senderPatterns(service string, partitions int) []string {
	patterns := []string{"{" + service + "-input}:lease:*"}
	if partitions > 1 {
		patterns = append(patterns, "{"+service+"-input-*}:lease:*")
	}
	return patterns
}

// clusterRules are those that every client needs on a cluster, and uses elsewhere unless its options say that there is none.
var clusterRules = []string{"+cluster|slots", "+cluster|shards"}

// inputPatterns are the patterns of the input streams.
func inputPatterns(service string, partitions int) []string {
	patterns := []string{service + "-input"}
	if partitions > 1 {
		patterns = append(patterns, service+"-input-*")
	}
	return patterns
}
