package storm

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
)

func at(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func TestOursExplainWhatTheMachineSeemsToDo(t *testing.T) {
	slots := new(cluster.SlotSet)
	slots.AddRange(1, 1)
	ours := []Struck{{Paused, "a", nil, at(10), at(11)}, {Frozen, "", slots, at(20), at(21)}}
	itself := []Struck{{Stood, "a", nil, at(10), at(11)}, {Slow, "", nil, at(20), at(21)}, {Stood, "b", nil, at(10), at(11)}, {Slow, "", nil, at(10), at(11)}}
	require.Equal(t, append(itself[2:4:4], ours...), Besides(itself, ours))
}

func TestEachTroubleIsDealtBeforeAnyComesAgain(t *testing.T) {
	for seed := range uint64(20) {
		d := deck{all: OnServers, rnd: rand.New(rand.NewPCG(seed, 0))}
		for range 3 {
			var dealt []string
			for range OnServers {
				dealt = append(dealt, d.next())
			}
			require.ElementsMatch(t, OnServers, dealt)
		}
	}
}
