package scan

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// keyKind is the purpose of a key of a service.
type keyKind uint8

const (
	unknownKey keyKind = iota // of a later version
	coreKey                   // one that each partition has, see coreKeys
	leaseKey
	markKey // of a recovery, an operation, an announcement from memory, a copy, or crashes: it expires by itself
	metaKey
	wishesKey // of the whole service, in the slot of partition 0
)

// coreKeys returns the keys that a partition has, in the order in which they are deleted: consumers look at sessions first, so those go
// last. The record and the wishes of the service, which are no partition's, and leases and marks, of which there are many, are not
// among them.
func coreKeys(k *cluster.Keys) []string {
	return slices.Concat([]string{k.Input, k.Later, k.DeadLetters, k.Signals, k.Checkpoints, k.Schedules}, balanceKeys(k), []string{k.Token, k.Scan, k.Sessions})
}

// balanceKeys returns the keys in which the consumers of a partition keep how they share its streams. They hold nothing but what
// living consumers write again.
func balanceKeys(k *cluster.Keys) []string { return []string{k.Books, k.Load, k.Fleet} }

// operationMark takes the place of a consumer's name in the key that marks a partition as being deleted or repartitioned. No
// consumer has such a name.
const operationMark = "!operation"

// ownKey is a key that begins with the name of an input stream of the service in braces.
type ownKey struct {
	name      string
	partition int
	kind      keyKind
}

// parseKey classifies a key; ok is false for a key that is not of this service.
func parseKey(layout *cluster.Layout, name string) (k ownKey, ok bool) {
	tag, rest, closed := strings.Cut(strings.TrimPrefix(name, "{"), "}")
	if !closed || !strings.HasPrefix(name, "{") {
		return k, false
	}
	k.name = name
	if first := layout.Keys(0).Input; tag != first {
		number, found := strings.CutPrefix(tag, first+"-")
		n, err := strconv.Atoi(number)
		if !found || err != nil || n < 1 || n >= layout.Partitions() || strconv.Itoa(n) != number {
			return k, false
		}
		k.partition = n
	}
	keys := layout.Keys(k.partition)
	switch {
	case name == layout.Meta():
		k.kind = metaKey
	case name == layout.Wishes():
		k.kind = wishesKey
	case strings.HasPrefix(name, keys.LeasePrefix()):
		k.kind = leaseKey
	case strings.HasPrefix(rest, ":recover:"), strings.HasPrefix(rest, ":copied:"), strings.HasPrefix(rest, ":crashed:"):
		k.kind = markKey
	case slices.Contains(coreKeys(keys), name):
		k.kind = coreKey
	}
	return k, true
}

const (
	// scanCount is how many keys a server goes through in one step, some 100 µs; fewer where names are so long that a page of
	// them is heavy.
	scanCount    = 1000
	scanCountMin = 10
)

// scanKeys calls do with the keys of the service, page by page, on every master. A key that exists all the time comes at least
// once.
func (i *Inspector) scanKeys(ctx context.Context, do func(ctx context.Context, found []ownKey) error) error {
	all, err := cluster.NewLayout(i.service, cluster.MaxPartitions)
	if err != nil {
		return err
	}
	masters, err := i.masters(ctx)
	if err != nil {
		return err
	}
	pattern := "{" + all.Keys(0).Input + "*" // the name of a service contains no glob characters
	for _, run := range masters {
		count := scanCount / 10
		for cursor := "0"; ; {
			next, names, err := i.scanPage(ctx, run, cursor, pattern, count)
			if err != nil {
				return explained("looking for the keys of service "+i.service, err)
			}
			found, weight := make([]ownKey, 0, len(names)), 0
			for _, name := range names {
				weight += len(name)
				if k, ok := parseKey(all, name); ok {
					found = append(found, k)
				}
			}
			if len(found) > 0 {
				if err := do(ctx, found); err != nil {
					return err
				}
			}
			if cursor = next; cursor == "0" {
				break
			}
			if count = min(2*count, scanCount); weight > lease.MaxCallWeight/4 {
				count = max(count/4, scanCountMin)
			}
		}
	}
	return nil
}

func (i *Inspector) scanPage(ctx context.Context, run *lease.Runner, cursor, pattern string, count int) (next string, names []string, err error) {
	ctx, cancel := i.bounded(ctx)
	defer cancel()
	parts, err := run.Do(ctx, lease.Call{Script: scriptKeys, Args: []string{cursor, pattern, strconv.Itoa(count)}}).ToArray()
	if err != nil || len(parts) != 2 {
		return "", nil, orMalformed(err)
	}
	if next, err = parts[0].ToString(); err != nil {
		return "", nil, err
	}
	names, err = parts[1].AsStrSlice()
	return next, names, err
}

var errUnknownMaster = errors.New("the client does not know it; try again")

// masters returns a runner for each server to go through.
func (i *Inspector) masters(ctx context.Context) (runners []*lease.Runner, err error) {
	if i.client.Mode() != rueidis.ClientModeCluster {
		return []*lease.Runner{i.run}, nil
	}
	topology := cluster.NewTopology(i.client, i.set.Timeout)
	if _, err := topology.Look(ctx); err != nil {
		return nil, explained("asking for the masters of the cluster", err)
	}
	nodes := i.client.Nodes()
	for _, m := range topology.Current().Masters() {
		node, ok := nodes[m.Addr]
		if !ok {
			return nil, explained("looking for the master at "+m.Addr, errUnknownMaster)
		}
		runners = append(runners, lease.NewRunner(node, nil))
	}
	return runners, nil
}
