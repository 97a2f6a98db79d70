package soak

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/bench/pod"
)

func TestSharesAreEvenWithinATenthAndAStream(t *testing.T) {
	for _, x := range []struct {
		held []int
		even bool
	}{{[]int{111, 89}, true}, {[]int{112, 88}, false}, {[]int{2, 2, 1}, true}, {[]int{0, 2, 3}, false}, {[]int{7}, true}} {
		streams := 0
		for _, n := range x.held {
			streams += n
		}
		require.Equal(t, x.even, evenly(x.held, streams), "%v", x.held)
	}
}

func TestFleetKeepsItsPromises(t *testing.T) {
	well := FleetRound{Even: true}
	for _, x := range []struct {
		what  string
		r     FleetResult
		holds bool
	}{
		{"all is well", FleetResult{Rounds: []FleetRound{well, well}}, true},
		{"a stream is nobody's", FleetResult{Rounds: []FleetRound{well, {Even: true, Lost: 1}}}, false},
		{"shares stay uneven", FleetResult{Rounds: []FleetRound{{}}}, false},
		{"two owners", FleetResult{Overlaps: "two"}, false},
		{"a dead letter", FleetResult{Letters: 1}, false},
		{"a dead letter of another build", FleetResult{Letters: 1, FleetOptions: FleetOptions{Old: "bench"}}, true},
		{"a consumer is left", FleetResult{Left: Left{Consumers: 1}}, false},
	} {
		require.Equal(t, x.holds, x.r.holds(), x.what)
	}
	for balance, asked := range map[pod.Balance]bool{"": true, pod.BalanceOn: true, pod.BalanceGate: false, pod.BalanceOff: false} {
		require.Equal(t, asked, (&FleetOptions{Balance: balance}).balances(), balance)
	}
}
