package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/scan"
)

// wishes returns the wishes as text.
func (s *shop) wishes() (all []string) {
	s.t.Helper()
	found, err := s.inspector.Wishes(s.t.Context())
	require.NoError(s.t, err)
	for _, w := range found {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %v %v", w.Kind, w.Consumer, w.Weight, w.Left.Round(time.Minute))))
	}
	return all
}

// shared waits until so many processes share the streams.
func (s *shop) shared(n int) {
	s.t.Helper()
	s.await(func() bool {
		b, err := s.inspector.Balance(s.t.Context())
		require.NoError(s.t, err)
		sharing := 0
		for _, p := range b.Processes {
			if p.State == scan.BalanceShares && !p.Dead {
				sharing++
			}
		}
		return sharing == n
	})
}

func TestProcessesAreSteered(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.start("pod-1", nil)
	s.start("pod-2", nil)
	s.shared(2)
	before := s.dump()
	a := s.do(statusDone, "pause", "pod-1", "-dry-run")
	require.Contains(t, a.out, "would take no more streams")
	require.Contains(t, a.out, "Nothing was changed.")
	require.Equal(t, true, s.json(statusDone, "freeze", "-dry-run")["dry_run"])
	require.Equal(t, before["{shop-input}:wishes"], s.dump()["{shop-input}:wishes"])

	a = s.do(statusDone, "pause", "pod-1", "-reason", "looking at its heap")
	require.Contains(t, a.out, "will take no more streams, and keep the")
	require.Contains(t, a.out, "(1 h 0 m): ")
	require.Equal(t, []string{"pause pod-1 0 1h0m0s"}, s.wishes())
	found, err := s.inspector.Wishes(t.Context())
	require.NoError(t, err)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Regexp(t, `^.+@`+host+`: looking at its heap$`, found[0].Reason)

	object := s.json(statusDone, "weight", "pod-1", "0.5", "-for", "2h")
	require.Empty(t, object["warnings"])
	require.Equal(t, 0.5, object["wishes"].([]any)[0].(map[string]any)["weight"])
	s.do(statusDone, "freeze", "-reason", "incident 311")
	require.Equal(t, []string{"freeze  0 30m0s", "pause pod-1 0 1h0m0s", "weight pod-1 0.5 2h0m0s"}, s.wishes())

	a = s.do(statusDone, "resume", "pod-1", "-dry-run")
	require.Contains(t, a.out, "would be taken back")
	require.Len(t, s.wishes(), 3)
	a = s.do(statusDone, "resume", "pod-1")
	require.Contains(t, a.out, "pause of pod-1, with 59 m")
	require.Contains(t, a.out, "looking at its heap")
	s.do(statusDone, "weight", "pod-1", "-clear")
	require.Len(t, s.json(statusDone, "unfreeze")["wishes"], 1)
	require.Empty(t, s.wishes())
	require.Contains(t, s.do(statusNothing, "resume", "pod-1").errs, "nobody wishes that pod-1 is paused or drained")
	require.Contains(t, s.do(statusNothing, "weight", "pod-1", "-clear").errs, "nobody wishes another weight of pod-1")
	require.Contains(t, s.do(statusNothing, "unfreeze").errs, "the service is not frozen")

	// Some of what is named is there.
	s.do(statusDone, "pause", "pod-1")
	require.Contains(t, s.do(statusNothing, "resume", "pod-1", "pod-7").errs, "pod-7")
	require.Empty(t, s.wishes())
}

func TestDrain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.start("pod-1", nil)
	s.shared(1)

	// Where nobody else takes streams, it asks.
	a := s.do(statusRefused, "drain", "pod-1")
	require.Contains(t, a.out, "Nobody else takes streams: what is announced or handed back will wait.")
	s.types(statusRefused, "pod-1", "drain", "pod-1")
	require.Empty(t, s.wishes())
	s.types(statusDone, "shop", "drain", "pod-1", "-for", "1h")
	require.Equal(t, []string{"drain pod-1 0 1h0m0s"}, s.wishes())
	s.do(statusDone, "resume", "pod-1")
	s.shared(1)

	s.start("pod-2", nil)
	s.shared(2)
	s.do(statusRefused, "drain", "pod-1", "pod-2")
	a = s.do(statusDone, "drain", "pod-1")
	require.Contains(t, a.out, "will hand back the")
	b := s.do(statusDone, "drain", "pod-3")
	require.Contains(t, b.out, "No process runs that says that its consumer ID is pod-3")
	require.Equal(t, []string{"drain pod-1 0 1h0m0s", "drain pod-3 0 1h0m0s"}, s.wishes())

	s.do(statusDone, "freeze")
	object := s.json(statusDone, "drain", "pod-4")
	require.Contains(t, fmt.Sprint(object["warnings"]), "nothing is handed back before that")
}

func TestWishesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before := s.dump()
	for _, command := range []string{"pause", "drain", "resume"} {
		s.usage("0 arguments", command)
		s.usage("consumer id", command, "a pod")
		s.usage("consumer id", command, "")
		s.usage("consumer id", command, "pod-1", "\u202e")
	}
	for _, command := range [][]string{{"pause", "pod-1"}, {"drain", "pod-1"}, {"weight", "pod-1", "2"}, {"freeze"}} {
		s.usage("-for: 0s is not between 1s and 168h0m0s", append(command, "-for", "0s")...)
		s.usage("-for: 169h0m0s is not between", append(command, "-for", "169h")...)
		s.usage("for", append(command, "-for", "long")...)
		s.usage("is not one line", append(command, "-reason", "a\nb")...)
		s.usage("make it shorter", append(command, "-reason", strings.Repeat("x", 201))...)
	}
	s.usage("give the consumer ID", "pause", "pod-1.ABCDEFGHIJKL")
	for _, weight := range []string{"0", "x", "NaN", "1001", ""} {
		s.usage("not a number from 0.01 to 1000", "weight", "pod-1", weight)
	}
	s.usage("weight", "weight", "pod-1", "-1")
	s.usage("the weight is missing", "weight", "pod-1")
	s.usage("leave the weight out", "weight", "pod-1", "2", "-clear")
	s.usage("arguments", "freeze", "pod-1")
	s.usage("arguments", "unfreeze", "pod-1")
	require.Equal(t, before, s.dump())
}

// Whoever has typed half a command asks for help there.
func TestHelpBehindArguments(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before := s.dump()
	for _, args := range [][]string{{"drain", "pod-1", "-h"}, {"drain", "-h", "pod-1"}, {"schedules", "pause", "shop/a", "-help"}} {
		a := s.do(statusDone, args...)
		require.Contains(t, a.out, "NAME:\n   streamlease "+args[0])
		require.Contains(t, a.out, "-reason")
	}
	require.Equal(t, before, s.dump())
}
