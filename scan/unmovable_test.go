package scan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/lease"
)

// times returns n fields with one name.
func times(n int, field, value string) (fields []string) {
	for range n {
		fields = append(fields, field, value)
	}
	return fields
}

// refusing makes the recover script fail for one entry of a stream: in every way of moving it, or in all but by reference.
func refusing(t *testing.T, id string, references bool) {
	text := luaText("recover")
	raise := fmt.Sprintf("local real = requeue\nrequeue = function(input, group, me, to, key, id, token, op, ...)\n"+
		"  if id == '%s' and (op ~= 'r' or %v) then error('ERR too many results to unpack', 0) end\n"+
		"  return real(input, group, me, to, key, id, token, op, ...)\nend\n", id, references)
	was := scriptRecover
	scriptRecover = lease.NewScript("recover", raise+text)
	t.Cleanup(func() { scriptRecover = was })
}

// Trace: 5,000 fields with one name, or no field of a producer, in the first page of what a dead consumer left: no survivor could
// recover them, and in a service of one process nobody ever requeued what came after them.
func TestUnmovableEntriesAreDeadLetteredAndTheOthersRequeued(t *testing.T) {
	everyServer(t, func(t *testing.T, h *harness) {
		good := `{"DataStreamName":"s"}`
		poison := [][]string{
			times(5000, lease.FieldAnnouncement, good),
			append([]string{lease.FieldAnnouncement, "x"}, times(5000, lease.FieldAnnouncement, good)...),
			append([]string{lease.FieldAnnouncement, good}, times(5000, "mine", "x")...),
			{lease.FieldReason, "x"}, times(5000, lease.FieldReason, "x"), {"mine", "x"}, {lease.FieldAnnouncement, `{"DataStreamName":""}`},
		}
		for i, fields := range poison {
			h.announce(fmt.Sprint("good-", i))
			h.add(fields...)
		}
		h.read(dead, 2*len(poison))
		h.kill(dead, time.Minute)
		require.Equal(t, Recovered{Entries: 14, DeadLetters: 7, Scripts: 7, Removed: true, Malformed: 5, TooWide: 2}, h.recover(ann))
		require.Len(t, h.Stream(h.keys.Input), len(poison))
		for _, l := range h.Stream(h.keys.DeadLetters) {
			require.NotEmpty(t, l.FieldValues[lease.FieldOriginalID])
		}
	})
}

// Trace: Redis refuses to move one entry, wherever it is: first, in the middle of a page, or in a later page. All others are
// requeued at once, and after some attempts it gets a dead letter that refers to it.
func TestEntryThatIsAlwaysRefusedBecomesADeadLetterByReference(t *testing.T) {
	for _, at := range []int{0, 1, 2, 5, 6} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			h := newHarness(t).withDead()
			var ids []string
			for i := range 7 {
				ids = append(ids, h.announce(fmt.Sprint("s-", i)))
			}
			h.own(dead, 7)
			h.kill(dead, time.Minute)
			refusing(t, ids[at], false)
			for n := range lease.MoveTries {
				done, err := h.store.Recover(h.ctx, 0, ann, dead)
				require.ErrorIs(t, err, ErrRefused)
				require.ErrorContains(t, err, ids[at])
				require.Equal(t, []int{1, 1, 0}, []int{done.Refused, done.Blamed, done.DeadLetters})
				require.Equal(t, map[bool]int{true: 6, false: 0}[n == 0], done.Entries)
				require.Equal(t, 1, h.pending(dead))
				require.Len(t, h.Stream(h.keys.Input), 7)
			}
			done := h.recover(ann)
			require.Equal(t, []int{1, 1, 1}, []int{done.Entries, done.DeadLetters, done.GivenUp})
			require.True(t, done.Removed)
			letters := h.Stream(h.keys.DeadLetters)
			require.Len(t, letters, 1)
			require.Equal(t, ids[at], letters[0].FieldValues[lease.FieldReference])
			require.Contains(t, letters[0].FieldValues[lease.FieldReason], "refused: ERR too many results to unpack")
			require.Len(t, h.Stream(h.keys.Input), 7, "what it refers to is there still")
			require.Zero(t, h.store.setbacks.mu.known.Len())
		})
	}
}

// Where even that is refused, the entry stays pending and is tried again; and what is refused for a reason that lies in the server
// never becomes a dead letter.
func TestWhatCannotEvenBeReferredToStaysPending(t *testing.T) {
	h := newHarness(t).withDead()
	id := h.announce("s")
	h.own(dead, 1)
	h.kill(dead, time.Minute)
	refusing(t, id, true)
	for range 3 * lease.MoveTries {
		_, err := h.store.Recover(h.ctx, 0, ann, dead)
		require.ErrorIs(t, err, ErrRefused)
		require.Equal(t, 1, h.pending(dead))
	}
	limited := h.as("-xack")
	for range 3 * lease.MoveTries {
		_, err := limited.store.Recover(h.ctx, 0, ann, dead)
		require.Error(t, err)
	}
	require.Zero(t, h.Num("XLEN", h.keys.DeadLetters))
}

// Trace: the whole script fails, for one entry of its batch.
func TestScriptThatFailsAsAWholeIsHalved(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.Page = 50 }).withDead()
	var ids []string
	for i := range 40 {
		ids = append(ids, h.announce(fmt.Sprint("s-", i)))
	}
	h.own(dead, 40)
	h.kill(dead, time.Minute)
	was := scriptRecover
	scriptRecover = lease.NewScript("recover", fmt.Sprintf("for _, a in ipairs(ARGV) do if a == '%s' then return redis.error_reply('ERR too many results to unpack') end end\n",
		ids[17])+luaText("recover"))
	t.Cleanup(func() { scriptRecover = was })
	done, err := h.store.Recover(h.ctx, 0, ann, dead)
	require.ErrorIs(t, err, ErrRefused)
	require.Equal(t, []int{39, 1, 1}, []int{done.Entries, done.Refused, done.Blamed})
	require.Less(t, done.Scripts, 20)
	require.Equal(t, 1, h.pending(dead))
}

// Trace: one announcement that is too large kept 100 small ones of a dead consumer from recovery.
func TestEntryTooLargeToCopyHoldsUpNoRecovery(t *testing.T) {
	everyServer(t, func(t *testing.T, h *harness) {
		large := `{"DataStreamName":"large","Info":"` + strings.Repeat("x", 20_000) + `"}`
		for i := range 4 {
			h.announce(fmt.Sprint("before-", i))
		}
		id := h.add(lease.FieldAnnouncement, large)
		for i := range 4 {
			h.announce(fmt.Sprint("after-", i))
		}
		h.own(dead, 9)
		h.kill(dead, time.Minute)
		done := h.recover(ann)
		require.Equal(t, []int{9, 1, 1}, []int{done.Entries, done.DeadLetters, done.TooLarge})
		letters := h.Stream(h.keys.DeadLetters)
		require.Len(t, letters, 1)
		require.Equal(t, id, letters[0].FieldValues[lease.FieldReference])
		require.Equal(t, large[:lease.MaxCut], letters[0].FieldValues[lease.FieldAnnouncement])
		require.Zero(t, h.Num("EXISTS", h.keys.Lease("large")))
	}, func(s *Settings) { s.MaxMove = 10_000 })
}

// Trace: what Engine.Requeue asks for is too large to be copied.
func TestRequeueOfWhatCannotBeCopiedSaysSo(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.MaxMove = 10_000 }).withDead()
	h.add(lease.FieldAnnouncement, `{"DataStreamName":"large","Info":"`+strings.Repeat("x", 20_000)+`"}`)
	h.own(dead, 1)
	h.kill(dead, time.Minute)
	require.ErrorIs(t, h.store.Requeue(h.ctx, 0, ann, "large", nil), ErrDeadLetter)
	require.Len(t, h.Stream(h.keys.DeadLetters), 1)
}

// Trace: the owner of 300 streams with an Info of 1 MiB is killed. They take one script after the other, each of bounded weight.
func TestHeavyEntriesAreRecoveredInSeveralScripts(t *testing.T) {
	h := newHarness(t, func(s *Settings) { s.Page = 100 }).withDead()
	body := strings.Repeat("x", 1<<20)
	for i := range 12 {
		h.announce(fmt.Sprint("s-", i), "f", body)
	}
	h.own(dead, 12)
	h.kill(dead, time.Minute)
	done := h.recover(ann)
	require.Equal(t, 12, done.Entries)
	require.LessOrEqual(t, done.Scripts, 6)
	require.GreaterOrEqual(t, done.Scripts, 3)
}
