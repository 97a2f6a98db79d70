package scan

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/cluster"
)

// maxFleet is how many consumers of a partition are gone through in one script. On a core that others use, too, 1,000 take the server
// 2.6 ms, and 10,000 take 26.
const maxFleet = 10_000

// BalanceState says whether a process shares the streams of a service with the others, or why not. Later versions may have more.
type BalanceState string

const (
	BalanceShares     BalanceState = "shares"     // it takes its share
	BalanceFull       BalanceState = "full"       // it holds as many as it may (engine.WithMaxStreams)
	BalanceBehind     BalanceState = "behind"     // its handlers do not keep up, so it does not read
	BalancePaused     BalanceState = "paused"     // it was told to take no more
	BalanceEvacuating BalanceState = "evacuating" // it was told to hand back what it holds, and keeps running
	BalanceDraining   BalanceState = "draining"   // it hands back what it holds, and stops
	BalanceLeft       BalanceState = "left"       // it has stopped, and its session is not closed yet
)

// member is what a consumer has on record in the fleet of a partition: "<weight × 1,000> <away> <over> <state>". tally.lua reads it, too.
type member struct {
	weight float64      // of its process, as it was set
	away   int          // streams that it holds and does not share; 0 while it shares
	over   time.Time    // since when it holds too much, by the server's clock; zero: it does not
	state  BalanceState // as it was written
}

// parseMember reads a row; ok is false for one that nothing of this library wrote. A later version may append to it.
func parseMember(row string) (m member, ok bool) {
	words := strings.Split(row, " ")
	if len(words) < 4 || words[3] == "" || strings.Trim(words[3], "abcdefghijklmnopqrstuvwxyz") != "" {
		return m, false
	}
	weight, ok1 := parseDigits(words[0], 9)
	away, ok2 := parseDigits(words[1], 9)
	over, ok3 := parseDigits(words[2], 15)
	if !ok1 || !ok2 || !ok3 {
		return m, false
	}
	m = member{weight: float64(weight) / 1000, away: int(away), state: BalanceState(words[3])}
	if over > 0 {
		m.over = time.UnixMilli(over)
	}
	return m, true
}

// parseDigits reads a number of up to so many digits, and nothing else.
func parseDigits(text string, most int) (n int64, ok bool) {
	if len(text) > most || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// runOf returns the name of the run of a process to which a consumer belongs, and the consumer ID of that. The name of a session that
// replaces a lost one is that of the run and a number.
func runOf(consumer string) (run, id string) {
	dot := strings.LastIndexByte(consumer, '.')
	if dot < 0 {
		return consumer, consumer
	}
	suffix, _, _ := strings.Cut(consumer[dot:], "-")
	return consumer[:dot] + suffix, consumer[:dot]
}

// fleetKeys are the keys of the scripts about the fleet of a partition.
func fleetKeys(k *cluster.Keys) []string {
	return []string{k.Sessions, k.Books, k.Load, k.Fleet}
}

// tooLarge is the error about a hash that has more fields than this library puts there.
func tooLarge(key, fields string, most int) error {
	return fmt.Errorf("scan: %s has %s fields, more than %d, and is not read: delete it", key, fields, most)
}
