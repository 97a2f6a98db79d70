package cluster

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/streamlease/streamlease/api"
)

// Layout holds the names of the keys of one service. It never changes and may
// be used from several goroutines.
//
// No two services share a key. The input streams of a service s are "s-input"
// and "s-input-1", "s-input-2" and so on, with numbers that have no leading
// zero. A name that ends in "-input" can only be partition 0 of the service
// named before that, and one that ends in "-input-<number>" only that partition
// of the service named before: a number never ends in "-input", and contains no
// "-". So services named "a" and "a-input-1" do not collide, nor do "a" and
// "a-input". All other keys begin with the name of an input stream in braces,
// which a service's name cannot contain.
//
// Data streams are named by the user, and their keys are not touched here. A
// data stream with the name of one of its service's keys is refused, see Owns:
// whoever deletes that data stream would delete the service.
type Layout struct {
	service string
	group   string
	meta    string
	wishes  string
	keys    []*Keys
}

// NewLayout computes the names for a service with the given number of
// partitions, 1 to MaxPartitions. An error matches api.ErrInvalidConfig.
func NewLayout(service string, partitions int) (*Layout, error) {
	if err := ValidateService(service); err != nil {
		return nil, err
	}
	if partitions < 1 || partitions > MaxPartitions {
		return nil, fmt.Errorf("%w: partitions: %d is not between 1 and %d; leave it out for %d",
			api.ErrInvalidConfig, partitions, MaxPartitions, DefaultPartitions)
	}
	l := &Layout{
		service: service,
		group:   service + "-group",
		meta:    "{" + service + "-input}:meta",
		wishes:  "{" + service + "-input}:wishes",
		keys:    make([]*Keys, partitions),
	}
	for p := range l.keys {
		l.keys[p] = newKeys(service, p)
	}
	return l, nil
}

// Service returns the name of the service.
func (l *Layout) Service() string { return l.service }

// Partitions returns the number of partitions, at least 1.
func (l *Layout) Partitions() int { return len(l.keys) }

// Group returns the name of the consumer group, the same on every input stream.
func (l *Layout) Group() string { return l.group }

// Meta returns the key of the hash that records the service's format and its
// number of partitions. There is one for the whole service, in the slot of
// partition 0, and its name does not depend on the number of partitions.
func (l *Layout) Meta() string { return l.meta }

// Wishes returns the key of the hash of what operators ask of consumers. Like
// Meta, there is one for the whole service.
func (l *Layout) Wishes() string { return l.wishes }

// Of returns the partition to which a data stream belongs.
func (l *Layout) Of(stream string) int { return Partition(stream, len(l.keys)) }

// Owns reports whether a name is, or may become, that of a key of the service:
// an input stream, whatever the number of partitions; the dead-letter stream of
// one, also as other libraries name it, "<input stream>-dlq"; or anything that
// begins with an input stream in braces.
func (l *Layout) Owns(name string) bool {
	braced := strings.HasPrefix(name, "{")
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "{"), l.service+"-input")
	if !ok {
		return false
	}
	if number, numbered := strings.CutPrefix(rest, "-"); numbered {
		if after := strings.TrimLeft(number, "0123456789"); len(after) < len(number) {
			rest = after
		}
	}
	if braced {
		return strings.HasPrefix(rest, "}")
	}
	return rest == "" || rest == "-dlq"
}

// Keys returns the keys of a partition, the same pointer each time. It panics
// if there is no such partition.
func (l *Layout) Keys(partition int) *Keys { return l.keys[partition] }

// Keys holds the key names of one partition, all in one slot. It is shared: the
// fields must not be changed.
type Keys struct {
	// Partition is the number of the partition, from 0.
	Partition int

	// Slot is the slot of all these keys in a Redis Cluster.
	Slot uint16

	// Input is the input stream, S, which holds the announcements.
	Input string

	// Sessions is {S}:sessions, the sorted set of consumers with the deadlines
	// of their sessions.
	Sessions string

	// Later is {S}:later, the sorted set of entries not to be handed out yet.
	Later string

	// Token is {S}:token, the greatest token minted.
	Token string

	// Scan is {S}:scan, which says who scans the partition.
	Scan string

	// DeadLetters is {S}-dlq, the dead-letter stream.
	DeadLetters string

	// Checkpoints is {S}:checkpoints, the hash of how far the owner of each data
	// stream has come.
	Checkpoints string

	// Schedules is {S}:schedules, the hash of the schedules whose names belong to
	// the partition.
	Schedules string

	// Signals is {S}:signals, the stream of hints for the owners of data streams.
	Signals string

	// Books is {S}:books, the hash of sums over the consumers that share the
	// data streams among them.
	Books string

	// Load is {S}:load, the sorted set of how full those consumers are.
	Load string

	// Fleet is {S}:fleet, the hash of what each consumer is, as Books counts it.
	Fleet string

	lease   string
	recover string
	copied  string
	crashed string
}

// newKeys names the keys of partition p. Every key but S itself begins with S in
// braces, so the name of a data stream or consumer after it cannot change the
// hash tag.
func newKeys(service string, p int) *Keys {
	input := service + "-input"
	if p > 0 {
		input += "-" + strconv.Itoa(p)
	}
	tag := "{" + input + "}"
	return &Keys{
		Partition:   p,
		Slot:        Slot(input),
		Input:       input,
		Sessions:    tag + ":sessions",
		Later:       tag + ":later",
		Token:       tag + ":token",
		Scan:        tag + ":scan",
		DeadLetters: tag + "-dlq",
		Checkpoints: tag + ":checkpoints",
		Schedules:   tag + ":schedules",
		Signals:     tag + ":signals",
		Books:       tag + ":books",
		Load:        tag + ":load",
		Fleet:       tag + ":fleet",
		lease:       tag + ":lease:",
		recover:     tag + ":recover:",
		copied:      tag + ":copied:",
		crashed:     tag + ":crashed:",
	}
}

// Lease returns the key of a data stream's lease: {S}:lease:<data stream>.
func (k *Keys) Lease(stream string) string { return k.lease + stream }

// LeasePrefix returns what the key of every lease of the partition begins with;
// the name of the data stream follows.
func (k *Keys) LeasePrefix() string { return k.lease }

// Recover returns the key that says who is recovering a dead consumer:
// {S}:recover:<consumer>; or, with "!" and the ID of an entry, that this entry
// was moved although its body might be gone.
func (k *Keys) Recover(consumer string) string { return k.recover + consumer }

// Copied returns the key that records which of the entries that a consumer read
// from another partition were added here a moment ago:
// {S}:copied:<partition>:<consumer>.
func (k *Keys) Copied(from int, consumer string) string {
	return k.copied + strconv.Itoa(from) + ":" + consumer
}

// Crashed returns the key that counts how often processes with a consumer ID
// have crashed lately: {S}:crashed:<consumer ID>.
func (k *Keys) Crashed(consumerID string) string { return k.crashed + consumerID }
