package enginetest

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine/enginetest/internal/memory"
	"github.com/streamlease/streamlease/engine/enginetest/internal/twin"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/virtual"
)

var (
	histories = flag.Int("compare.histories", 3, "number of random histories, each with the seed of the previous one plus one")
	firstSeed = flag.Uint64("compare.seed", 1, "seed of the first history")
	steps     = flag.Int("compare.steps", 40, "steps of a history")
)

// TestHistoriesAreThoseOfRedis: random histories of fleets, in which all that can happen to a fleet happens. Each command that the
// server in memory runs is run by a real one, too, at the same time by its clock, and the replies are compared; at the end, all that
// the two have. See package twin for what is compared, and what cannot be.
//
// A failure is repeated by -compare.seed. Goroutines are scheduled as they are, so the same seed need not give the same history:
// what differs is printed with the command, and shows by itself.
func TestHistoriesAreThoseOfRedis(t *testing.T) {
	pool := twin.NewPool(t, maxServers)
	total := make(map[string]int)
	began := time.Now()
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		tw := &twin.Twin{} // of a seed that is not chosen
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			virtual.Test(t, func(t *testing.T) {
				tw = pool.Twin()
				defer tw.Close()
				compare(t, tw, seed)
			})
		})
		for name, n := range tw.Commands() {
			total[name] += n
		}
	}
	report(t, *histories, total, time.Since(began))
}

// compare runs one history and reports differences.
func compare(t *testing.T, tw *twin.Twin, seed uint64) {
	server := memory.Observed(tw)
	h := newHistory(t, server, seed)
	for range *steps {
		h.step()
		if tw.Differs() {
			break
		}
	}
	h.end()
	contents(t, server)
	differences, err := tw.Differences()
	if err != nil {
		t.Errorf("the comparison failed: %v", err)
	}
	for _, d := range differences {
		t.Error(d)
	}
	if len(differences) > 0 {
		t.Logf("seed %d, steps:\n%s", seed, strings.Join(h.log, "\n"))
	}
}

// contents asks the server for all that it has, so that the twin compares it.
func contents(t *testing.T, server *memory.Server) {
	ctx := context.Background()
	opt := optionOf(server.Link())
	opt.AlwaysRESP2 = true
	client, err := rueidis.NewClient(opt)
	if err != nil {
		t.Errorf("looking at the contents: %v", err)
		return
	}
	defer client.Close()
	do := func(args ...string) rueidis.RedisResult { return client.Do(ctx, client.B().Arbitrary(args...).Build()) }
	names, err := do("KEYS", "*").AsStrSlice()
	if err != nil {
		t.Errorf("looking at the contents: %v", err)
	}
	slices.Sort(names)
	for _, key := range names {
		do("PTTL", key)
		switch kind, _ := do("TYPE", key).ToString(); kind {
		case "string":
			do("GET", key)
		case "hash":
			do("HGETALL", key)
		case "zset":
			do("ZRANGE", key, "0", "-1", "WITHSCORES")
		case "set":
			do("SMEMBERS", key)
		case "list":
			do("LRANGE", key, "0", "-1")
		case "stream":
			do("XRANGE", key, "-", "+")
			do("XINFO", "STREAM", key)
			do("XINFO", "STREAM", key, "FULL", "COUNT", "0")
		}
	}
}

// report says how much was compared, the scripts by their names.
func report(t *testing.T, histories int, total map[string]int, took time.Duration) {
	names := make(map[string]string)
	for _, s := range slices.Concat(lease.Scripts(), scan.Scripts()) {
		names[s.SHA()] = s.Name()
	}
	commands, scripts, calls := 0, make(map[string]int), 0
	for name, n := range total {
		commands += n
		if sha, is := strings.CutPrefix(name, "SCRIPT "); is && len(sha) == 40 {
			calls += n
			if known := names[sha]; known != "" {
				sha = known
			}
			scripts[sha] += n
			delete(total, name)
		}
	}
	t.Logf("%d histories in %v, %d commands, of which %d calls of %d scripts", histories, took.Round(time.Second), commands, calls, len(scripts))
	t.Log("scripts: ", counts(scripts))
	t.Log("others: ", counts(total))
}

func counts(m map[string]int) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s %d, ", name, m[name])
	}
	return strings.TrimSuffix(b.String(), ", ")
}
