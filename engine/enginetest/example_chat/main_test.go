package main

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/streamlease/streamlease/engine/enginetest"
)

// send sends messages such as "ann say hello", and returns the ID of the last one.
func send(fleet *enginetest.Fleet, messages ...string) (id string) {
	for _, m := range messages {
		words := append(strings.SplitN(m, " ", 3), "")
		id = fleet.Send("room", "user", words[0], "kind", words[1], "text", words[2])
	}
	return id
}

func TestFoldUntilTheLastMemberLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet, states := enginetest.New(t, "chat"), ""
		fleet.Start("a", enginetest.Feed(follow(func(_ string, s session) { states += fmt.Sprint(s) }), config))
		send(fleet, "ann join", "bob join", "ann say hello", "eve say hello", "ann leave", "bob leave")
		fleet.Done("room")
		send(fleet, "eve join") // announces it again
		fleet.AllHandled()
		if states != "{[ann] 0 }{[ann bob] 0 }{[ann bob] 1 hello}{[ann bob] 1 hello}{[bob] 1 hello}{[] 1 hello}{[eve] 0 }" {
			t.Error(states)
		}
	})
}

func TestAnotherProcessGoesOn(t *testing.T) {
	for name, end := range map[string]func(*enginetest.Process){
		"crash":  (*enginetest.Process).Kill,
		"deploy": func(a *enginetest.Process) { go a.Drain() }, // waits for the handler
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fleet := enginetest.New(t, "chat")
				var a *enginetest.Process
				a = fleet.Start("a", enginetest.Feed(follow(func(_ string, s session) {
					if s.Messages == 2 { // folded, and not stored
						end(a)
					}
				}), config))
				fleet.HandledUpTo("room", send(fleet, "ann join", "ann say one"))
				send(fleet, "ann say two", "ann say three")
				var last session
				b := fleet.Start("b", enginetest.Feed(follow(func(_ string, s session) { last = s }), config))
				fleet.OwnedBy("room", b)
				send(fleet, "ann say four")
				fleet.AllHandled()
				fleet.NothingLost()
				if fmt.Sprint(last) != "{[ann] 4 four}" { // nothing lost, and nothing counted twice
					t.Error(last)
				}
			})
		})
	}
}
