package scan

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// maxFleet is how many consumers of a partition are gone through in one script. On a core that others use, too, 1,000 take the server
// 2.6 ms, and 10,000 take 26.
const maxFleet = 10_000

// BalanceState is whether a process shares the streams of a service with the others, or why not. Later versions may have more.
type BalanceState string

const (
	BalanceShares     = BalanceState(lease.RoleShares)     // it takes its share
	BalanceFull       = BalanceState(lease.RoleFull)       // it holds as many as it is to hold (engine.WithMaxStreams)
	BalanceBehind     = BalanceState(lease.RoleBehind)     // its handlers, or its renewals, are behind
	BalancePaused     = BalanceState(lease.RolePaused)     // it is to take no more
	BalanceEvacuating = BalanceState(lease.RoleEvacuating) // it hands back what it holds, and goes on running
	BalanceDraining   = BalanceState(lease.RoleDraining)   // it hands back what it holds, and stops
)

// member is what a consumer has on record in the fleet of a partition, as lease/lua/parts/fleet.lua describes it.
type member struct {
	weight float64      // of its process
	away   int          // streams that stay with it although it does not share; 0 while it shares
	over   time.Time    // since when it holds too much, by its clock; zero: it does not
	state  BalanceState // as it was written
}

// parseMember reads a row; ok is false for one that cannot be read, and counts as nothing.
func parseMember(row string) (m member, ok bool) {
	words := strings.Split(row, " ")
	if len(words) != 4 || words[3] == "" || strings.Trim(words[3], "abcdefghijklmnopqrstuvwxyz") != "" {
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

// parseDigits reads a number without a sign. One that has more digits than that counts as 0: this library writes none.
func parseDigits(text string, most int) (n int64, ok bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	if text = strings.TrimLeft(text, "0"); text == "" || len(text) > most {
		return 0, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// runOf returns the name of the run of a process to which a consumer belongs, and the consumer ID of that. The name of a session that
// replaces a lost one is that of the run and a number.
func runOf(consumer string) (run, id string) {
	id = lease.ConsumerID(consumer)
	suffix, _, _ := strings.Cut(consumer[len(id):], "-")
	return id + suffix, id
}

// fleetKeys are the keys of the scripts about the fleet of a partition.
func fleetKeys(k *cluster.Keys) []string {
	return []string{k.Sessions, k.Books, k.Load, k.Fleet}
}

// tooLarge is the error about a hash that has more fields than this library puts there.
func tooLarge(key, fields string, most int) error {
	return fmt.Errorf("scan: %s has %s fields, more than %d, and is not read: delete it", key, fields, most)
}
