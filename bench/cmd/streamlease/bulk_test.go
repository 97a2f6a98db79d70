package main

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/proxy"
	"github.com/streamlease/streamlease/test/servers"
)

// hostile is a name that would turn what a terminal writes around, and clear it.
const hostile = "bad \u202e\x1b[2J\"`$(reboot)"

func TestLettersAreSentBackAndDropped(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish("bad-0", "bad-1", "bad-2", "bad-3", "bad-4", "bad-5", hostile)
	s.handled(7, 0, 1)
	s.refuses("dlq", "send-back", "-stream", "bad-3")
	s.refuses("dlq", "drop", "-all")

	a := s.do(statusDone, "dlq", "drop", "-reason", "permanent", "-dry-run")
	require.Contains(t, a.out, "7 dead letters would be deleted.")
	require.Contains(t, a.out, "permanent: no such product")
	require.Contains(t, a.out, "and 2 more")
	a = s.do(statusDone, "dlq", "drop", "-stream", hostile, "-dry-run")
	require.Contains(t, a.out, `"bad \u202e\x1b[2J\"`)
	require.NotContains(t, a.out, "\x1b")
	require.NotContains(t, a.out, "\u202e")

	// A single one is confirmed by a letter, more by the name of the service.
	s.types(statusRefused, "y", "dlq", "send-back", "-all")
	a = s.types(statusDone, "y", "dlq", "send-back", "-stream", "bad-3")
	require.Contains(t, a.out, "1 dead letter was sent back.")
	require.Equal(t, []string{"bad-3", "first"}, s.waiting())

	object := s.json(statusDone, "dlq", "send-back", "-stream", hostile, "-yes")
	require.Equal(t, "dlq send-back", object["command"])
	require.Equal(t, []any{1., 1., 0., false}, []any{object["matched"], object["changed"], object["gone"], object["dry_run"]})
	require.Equal(t, []string{hostile}, names(object, "examples"))

	// By ID, in its partition alone.
	p := cluster.Partition("bad-0", 2)
	var id string
	for l, err := range s.inspector.Letters(t.Context(), scan.Selection{Stream: "bad-0"}) {
		require.NoError(t, err)
		id = l.ID
	}
	partition := func(p int) string { return strconv.Itoa(p) }
	s.run(t.Context(), nil, "dlq", "drop", "-id", id, "-partition", partition(1-p), "-yes") // if there is one of the same ID, it is another letter
	require.Contains(t, s.letters(scan.Selection{}), "bad-0")
	object = s.json(statusDone, "dlq", "drop", "-id", id, "-partition", partition(p), "-yes")
	require.Equal(t, []string{"bad-0"}, names(object, "examples"))
	require.NotContains(t, s.letters(scan.Selection{}), "bad-0")

	here := s.letters(scan.Selection{Partitions: []int{p}})
	object = s.json(statusDone, "dlq", "drop", "-partition", partition(p), "-yes")
	require.EqualValues(t, len(here), object["changed"])
	require.Empty(t, s.letters(scan.Selection{Partitions: []int{p}}))
	a = s.do(statusDone, "dlq", "drop", "-all", "-yes")
	require.Contains(t, a.out, "deleted.")
	require.Empty(t, s.letters(scan.Selection{}))
	require.Len(t, s.waiting(), 3)

	a = s.do(statusNothing, "dlq", "drop", "-all", "-yes")
	require.Contains(t, a.errs, "no dead letter is selected")
	require.EqualValues(t, 0, s.json(statusNothing, "dlq", "drop", "-reason", "crashes")["matched"])
}

func TestDelayedAreBroughtForwardAndCancelled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish("late-0", "late-1", "late-2", "late \x07")
	s.handled(0, 4, 1)
	s.refuses("later", "bring-forward", "-all")
	s.refuses("later", "cancel", "-stream", "late-1")
	a := s.types(statusDone, "y", "later", "bring-forward", "-stream", "late-1")
	require.Contains(t, a.out, "1 delayed announcement was brought forward.")
	require.Contains(t, a.out, "in 59 m")
	require.Equal(t, []string{"first", "late-1"}, s.waiting())
	object := s.json(statusDone, "later", "cancel", "-stream", "late \x07", "-yes")
	require.EqualValues(t, 1, object["changed"])
	require.Equal(t, []string{"late-0", "late-2"}, s.delayed())
	s.types(statusDone, "shop", "later", "cancel", "-all")
	require.Empty(t, s.delayed())
	require.Equal(t, []string{"first", "late-1"}, s.waiting())
	s.do(statusNothing, "later", "cancel", "-all", "-yes")
}

func TestStrandedAreListedAndReannounced(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish("a", "b", "c\u202e")
	s.do(statusNothing, "stranded", "reannounce", "-all")
	require.Contains(t, s.do(statusDone, "stranded", "list").out, "Nothing is stranded.")
	require.Equal(t, "[]\n", s.do(statusDone, "-json", "stranded", "list").out)
	for _, key := range []string{"shop-input", "shop-input-1"} {
		s.Try("XGROUP", "CREATE", key, "shop-group", "0")
		s.Try("XREADGROUP", "GROUP", "shop-group", "gone", "STREAMS", key, ">")
		s.Try("XGROUP", "DELCONSUMER", key, "shop-group", "gone")
	}
	a := s.do(statusDone, "stranded", "list")
	for _, name := range []string{"first", " a ", " b ", `"c\u202e"`} {
		require.Contains(t, a.out, name)
	}
	require.Equal(t, 1, strings.Count(s.do(statusDone, "stranded", "list", "-limit", "1", "-json").out, "stream"))
	s.refuses("stranded", "reannounce", "-stream", "a")
	s.types(statusDone, "y", "stranded", "reannounce", "-stream", "a")
	require.EqualValues(t, 3, s.json(statusDone, "stranded", "reannounce", "-all", "-yes")["changed"])
	require.Contains(t, s.do(statusDone, "stranded", "list").out, "Nothing is stranded.")
	require.Len(t, s.waiting(), 4)
}

func TestSelectionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, command := range [][]string{{"dlq", "drop"}, {"dlq", "send-back"}, {"later", "cancel"}, {"later", "bring-forward"}, {"stranded", "reannounce"}} {
		s.usage("-all for everything", command...)
		s.usage("-all for everything", append(command, "-yes")...)
		s.usage("-stream is empty", append(command, "-stream", "")...)
		s.usage("-all is everything, and -stream is not", append(command, "-all", "-stream", "a")...)
		s.usage("-id needs one -partition", append(command, "-id", "1-0")...)
		s.usage("-id needs one -partition", append(command, "-id", "1-0", "-partition", "0", "-partition", "1")...)
		s.usage("is no ID", append(command, "-id", "*", "-partition", "0")...)
		s.usage("-partition: -1 is negative", append(command, "-partition=-1")...)
		s.usage("the service has 2 partitions", append(command, "-partition", "2")...)
		s.usage("arguments", append(command, "a")...)
		s.usage("partition", append(command, "-partition", "x")...)
		s.usage("-limits", append(command, "-limits", "3")...)
	}
	s.usage("-reason is empty", "dlq", "drop", "-reason", "")
	s.usage("-1 is below 0", "stranded", "list", "-limit=-1")
	s.usage("-stream is empty", "stranded", "list", "-stream", "")
	s.usage("reason", "later", "cancel", "-reason", "x")
}

func TestNoServiceIsNotFound(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	before := s.dump()
	for _, command := range [][]string{
		{"dlq", "drop", "-all"}, {"later", "cancel", "-stream", "x"}, {"stranded", "list"}, {"schedules", "delete", "x"},
		{"pause", "pod-1"}, {"unfreeze"}, {"publish", "x"}, {"signal", "x"}, {"delete-service"}, {"repartition", "-to", "3"},
	} {
		a := s.do(statusNothing, append(command, "-service", "shoop")...)
		require.Contains(t, a.errs, "service")
	}
	require.Equal(t, before, s.dump())
}

// Somebody who gives up at the question has changed nothing, and does not have to press Enter.
func TestInterruptAtTheQuestion(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish("bad")
	s.handled(1, 0, 1)
	before := s.dump()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	time.AfterFunc(0, func() {
		_, _ = w.Write([]byte("y")) // it is read once the question is there
		cancel()
	})
	a := s.run(ctx, typing{r}, "dlq", "drop", "-all")
	require.Equal(t, statusRefused, a.status, a.errs)
	require.Equal(t, before, s.dump())
}

// reading is an input that does something when it is read.
type reading func() string

func (r reading) Read(b []byte) (int, error) { return copy(b, r()), nil }

// What was confirmed is one dead letter, and not another one of the same stream that has come since.
func TestASingleItemIsTheOneThatWasShown(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish("bad")
	s.handled(1, 0, 1)
	a := s.run(t.Context(), typing{reading(func() string {
		s.publish("bad")
		s.handled(2, 0, 1)
		return "y\n"
	})}, "dlq", "drop", "-stream", "bad")
	require.Equal(t, statusDone, a.status, a.errs)
	require.Contains(t, a.out, "1 dead letter was deleted.")
	require.Len(t, s.letters(scan.Selection{}), 1)
}

// The call ran, and its answer was lost: whoever reads that knows what to do.
func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish("bad-0", "bad-1", "bad-2")
	s.handled(3, 0, 1)
	s.do(statusDone, "dlq", "send-back", "-stream", "bad-0", "-yes") // the server has the script now
	p := proxy.New(t, s.server.Addr())
	for _, script := range scan.Scripts() {
		p.RegisterScript(script.Name(), script.Body())
	}
	s.url = "redis://" + p.Addr()
	defer p.Inject(proxy.Fault{Command: "sendback", Nth: 1, Action: proxy.CutAfter})()
	a := s.do(statusFailed, "-json", "dlq", "send-back", "-all", "-yes")
	require.Contains(t, a.errs, "some may have been sent back all the same; run the same command again for the rest: none is sent back twice")
	require.Contains(t, a.out, `"error": `)
	require.Less(t, len(s.letters(scan.Selection{})), 2)
	if a := s.run(t.Context(), strings.NewReader(""), "dlq", "send-back", "-all", "-yes"); a.status != statusDone {
		require.Equal(t, statusNothing, a.status, a.errs)
	}
	require.Equal(t, []string{"bad-0", "bad-1", "bad-2", "first"}, s.waiting())
}

// What the servers refuse is passed on as the library says it, with what to do.
func TestRefusalsOfServersArePassedOn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.publish("bad", "late")
	s.handled(1, 1, 1)
	s.Do("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all", "-xdel")
	s.url = "redis://reader:secret@" + s.server.Addr()
	a := s.do(statusFailed, "dlq", "send-back", "-all", "-yes")
	require.Contains(t, a.errs, "grant the user the command")
	require.NotContains(t, a.errs, "secret")
	require.NotContains(t, a.errs, "all the same")

	s.url = "redis://" + s.server.Addr()
	s.Do("CONFIG", "SET", "maxmemory", "1")
	a = s.do(statusFailed, "later", "bring-forward", "-all", "-yes")
	require.Contains(t, a.errs, "OOM")
	require.EqualValues(t, 0, s.json(statusFailed, "later", "bring-forward", "-all", "-yes")["changed"])
	s.Do("CONFIG", "SET", "maxmemory", "0")
	require.Equal(t, []string{"bad"}, s.letters(scan.Selection{}))
	require.Equal(t, []string{"late"}, s.delayed())

	replica := servers.New(t, servers.ReplicaOf(s.server))
	require.NoError(t, servers.AwaitInStep(t.Context(), s.server, replica))
	s.url = "redis://" + replica.Addr()
	a = s.do(statusFailed, "dlq", "drop", "-all", "-yes")
	require.Contains(t, a.errs, "replica")
}
