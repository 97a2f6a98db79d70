package scan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/test/proxy"
)

func (h *harness) tally() {
	h.t.Helper()
	require.NoError(h.t, h.store.Tally(h.ctx, 0, ann))
}

// row puts a consumer into the fleet, and into the load if it shares.
func (h *harness) row(consumer, row string) {
	h.t.Helper()
	h.Do("HSET", h.keys.Fleet, consumer, row)
	if strings.HasSuffix(row, " shares") {
		h.Do("ZADD", h.keys.Load, "7.5", consumer)
	}
}

// books returns the sums: weight, full and joins, and what is kept beside them.
func (h *harness) books() string {
	h.t.Helper()
	sums := strings.Fields(h.Text("HGET", h.keys.Books, "sums"))
	return strings.TrimSpace(strings.Join(sums[:min(3, len(sums))], " ") + " " + h.Text("HGET", h.keys.Books, "oldest"))
}

// silent returns how many consumers have no row, by the sums.
func (h *harness) silent() string {
	h.t.Helper()
	return strings.Fields(h.Text("HGET", h.keys.Books, "sums"))[3]
}

func (h *harness) inFleet() []string {
	h.t.Helper()
	names, err := h.Try("HKEYS", h.keys.Fleet).AsStrSlice()
	require.NoError(h.t, err)
	slices.Sort(names)
	return names
}

func (h *harness) inLoad() []string {
	h.t.Helper()
	names, err := h.Try("ZRANGE", h.keys.Load, "0", "-1").AsStrSlice()
	require.NoError(h.t, err)
	slices.Sort(names)
	return names
}

// drifted has sums that are wrong, a consumer of each kind, and rows of some that are gone.
func (h *harness) drifted() {
	h.t.Helper()
	for _, consumer := range []string{"ful.1", "later.1", "odd.1", "left.1"} {
		h.open(consumer)
	}
	h.kill(dead, time.Second)
	h.score("closed.1", "0")
	h.Do("HSET", h.keys.Books, "sums", "99 4 5 0", "oldest", "kept")
	h.row(ann, "1500 0 0 shares")
	h.row(bea, "250 0 1700000000000 shares")
	h.row("ful.1", "1000 40 0 full")
	h.row("left.1", "1000 2 0 left")
	h.row("later.1", "1000 1 0 dreaming of a later version")
	h.row("odd.1", "1e3 1 0 full")
	h.row(dead, "1000 0 0 shares")
	h.row("closed.1", "1000 17 0 full")
	h.row("absent.1", "nonsense")
	for _, consumer := range []string{"ful.1", "odd.1", "closed.1", "nobody.1"} {
		h.Do("ZADD", h.keys.Load, "1", consumer) // a call that came late
	}
}

const healed = "1750 42 8 kept"

// Sums that have drifted heal, and those who are gone count no more.
func TestSumsThatHaveDriftedHeal(t *testing.T) {
	everyServer(t, func(t *testing.T, h *harness) {
		h.drifted()
		h.tally()
		require.Equal(t, healed, h.books())
		require.Equal(t, []string{ann, bea, "ful.1", "later.1", "left.1", "odd.1"}, h.inFleet(), "a row that nobody can read is left to its consumer")
		require.Equal(t, []string{ann, bea}, h.inLoad())
		h.tally()
		require.Equal(t, healed, h.books(), "there is nothing more to do")
		h.Do("DEL", h.keys.Books)
		h.tally()
		require.Equal(t, "1750 42 0", h.books(), "the server has forgotten them")
		h.Do("DEL", h.keys.Fleet)
		h.tally()
		require.Equal(t, "0 0 0", h.books(), "consumers write their rows again, and their weights with them")
		require.Empty(t, h.inLoad())
		require.Equal(t, "6", h.silent(), "until then each is one that has none")
		h.row(ann, "1000 0 0 shares")
		h.tally()
		require.Equal(t, "5", h.silent())
	})
}

// Trace: a failover has forgotten that consumers have sessions; or the server was out of reach, and the first one back is about to find
// all others gone. Their rows stay, and so do the sums.
func TestNobodyIsTakenOutOfTheFleetWhileItIsUnknownWhoLives(t *testing.T) {
	for name, change := range map[string]func(h *harness){
		"settling":           func(h *harness) { h.forget() },
		"without a session":  func(h *harness) { h.kill(ann, time.Second) },
		"after a gap":        func(h *harness) { h.Do("ZADD", h.keys.Sessions, "-"+h.ago(2*time.Hour), "!beat") },
		"nobody has a beat":  func(h *harness) { h.Do("ZREM", h.keys.Sessions, "!beat") },
		"nobody takes part":  func(h *harness) { h.Do("DEL", h.keys.Fleet, h.keys.Books) },
		"no service at all":  func(h *harness) { h.Do("FLUSHALL") },
		"session was forgot": func(h *harness) { h.Do("ZREM", h.keys.Sessions, ann) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t).withDead()
			h.drifted()
			change(h)
			books, fleet, load := h.books(), h.inFleet(), h.inLoad()
			h.tally()
			require.Equal(t, books, h.books())
			require.Equal(t, fleet, h.inFleet())
			require.Equal(t, load, h.inLoad())
		})
	}
}

// Trace: the process dies before the call or after it, or gets no answer. It is one step, and the next one finds nothing more to remove.
func TestTallyThatIsNotAnsweredIsRepeated(t *testing.T) {
	for _, action := range []proxy.Action{proxy.DropRequest, proxy.DropReply, proxy.CutBefore, proxy.CutAfter} {
		t.Run(action.String(), func(t *testing.T) {
			h := newHarness(t, func(s *Settings) { s.Timeout = 2 * time.Second }).withDead()
			h.drifted()
			through, p := h.throughProxy()
			require.NoError(t, through.store.Tally(h.ctx, 0, "nobody.1"), "loads the script")
			p.Inject(proxy.Fault{Command: "tally", Nth: 1, Action: action})
			_ = through.store.Tally(h.ctx, 0, ann)
			require.Equal(t, 1, p.Struck("tally"))
			require.NoError(t, through.store.Tally(h.ctx, 0, ann))
			require.Equal(t, healed, h.books())
		})
	}
}

// A fleet that somebody has made huge by hand blocks nobody: it is refused, and the error names the key. One at the limit, and a load beyond
// it, are gone through.
func TestTallyOfAHugeFleetIsRefused(t *testing.T) {
	h := newHarness(t).withDead()
	h.drifted()
	fill := func(n int) {
		h.Do("EVAL", `for i = 1, ARGV[1] do
			redis.call('HSET', KEYS[1], 'x' .. i, '1000 1 0 full')
			redis.call('ZADD', KEYS[2], -1, 'x' .. i)
		end`, "2", h.keys.Fleet, h.keys.Load, strconv.Itoa(n))
	}
	fill(3 * maxFleet)
	err := h.store.Tally(h.ctx, 0, ann)
	require.ErrorContains(t, err, fmt.Sprintf("%s has %d fields, more than %d", h.keys.Fleet, 3*maxFleet+9, maxFleet))
	require.Equal(t, "99 4 5 kept", h.books())
	h.Do("DEL", h.keys.Fleet)
	h.row(ann, "1000 0 0 shares")
	h.tally()
	require.Greater(t, h.Num("ZCARD", h.keys.Load), 2*maxFleet-10, "as many as one step takes")
	for range 3 {
		h.tally()
	}
	require.Equal(t, []string{ann}, h.inLoad())
	fill(maxFleet - 1)
	h.tally()
	require.Equal(t, []string{ann}, h.inFleet())
	require.Equal(t, "1000 0 10004 kept", h.books())
}

// Rights that are missing, and keys of another type, are said; where no consumer takes part none is missed. Once they are granted, all is
// as if they had been there.
func TestTallyWithoutARight(t *testing.T) {
	everyServer(t, func(t *testing.T, h *harness) {
		used := []string{"hlen", "hgetall", "zrange", "hdel", "zrem", "hget", "hset"}
		var none []string
		for _, command := range used {
			none = append(none, "-"+command)
		}
		require.NoError(t, h.as(none...).store.Tally(h.ctx, 0, ann))
		for _, command := range used {
			h.Do("DEL", h.keys.Books, h.keys.Load, h.keys.Fleet)
			h.drifted()
			err := h.as("-"+command).store.Tally(h.ctx, 0, ann)
			require.ErrorContains(t, err, "trying "+strings.ToUpper(command))
			require.True(t, lease.LacksRight(err), err)
			h.tally()
			require.Equal(t, []string{"1750", "42"}, strings.Fields(h.books())[:2], command)
			require.Equal(t, []string{ann, bea}, h.inLoad())
		}

		for _, key := range []string{h.keys.Books, h.keys.Load, h.keys.Fleet} {
			h.Do("RENAME", key, "aside")
			h.Do("SET", key, "x")
			require.ErrorContains(t, h.store.Tally(h.ctx, 0, ann), "WRONGTYPE")
			h.Do("RENAME", "aside", key)
		}
		h.Do("HSET", h.keys.Books, "sums", "0 0 8 0")
		h.tally()
		require.Equal(t, []string{"1750", "42"}, strings.Fields(h.books())[:2])
	})
}

// A server that was demoted is asked for nothing; one that is full heals all the same.
func TestTallyOnAServerThatRefusesWrites(t *testing.T) {
	h := newHarness(t).withDead()
	h.drifted()
	h.tally() // the script is known
	h.Do("HSET", h.keys.Books, "sums", "0 0 8 0")
	h.Do("CONFIG", "SET", "maxmemory", "1")
	h.tally()
	h.Do("CONFIG", "SET", "maxmemory", "0")
	require.Equal(t, healed, h.books())
	h.Do("REPLICAOF", "127.0.0.1", "1")
	require.ErrorContains(t, h.store.Tally(h.ctx, 0, ann), "READONLY")
}

// Whatever is in the rows, the script reads of them what parseMember does.
func TestTallyReadsRowsAsGoDoes(t *testing.T) {
	h := newHarness(t)
	word := rapid.OneOf(rapid.StringMatching(`[0-9]{0,16}`), rapid.SampledFrom([]string{"1000", "0", "-1", "1.5", "shares", "full", "Shares", "", " ", "a b"}))
	rapid.Check(t, func(t *rapid.T) {
		h.Do("DEL", h.keys.Books)
		weight, full := 0, 0
		for _, consumer := range []string{ann, bea} {
			row := strings.Join(rapid.SliceOfN(word, 0, 6).Draw(t, "row"), " ")
			if rapid.Bool().Draw(t, "plain") {
				row = rapid.StringMatching(`[0-9]{1,12} [0-9]{1,12} [0-9]{1,18} (shares|full|x)( y)?`).Draw(t, "plain row")
			}
			h.Do("HSET", h.keys.Fleet, consumer, row)
			switch m, ok := parseMember(row); {
			case ok && m.state == "shares":
				weight += int(m.weight*1000 + .5)
			case ok:
				full += m.away
			}
		}
		h.tally()
		found := cmp.Or(h.books(), "0 0 0") // there are no sums
		require.Equal(t, fmt.Sprintf("%d %d 0", weight, full), found)
	})
}

func TestRunOf(t *testing.T) {
	for consumer, want := range map[string][2]string{
		"pod-7.ABCDEFGHIJKL":          {"pod-7.ABCDEFGHIJKL", "pod-7"},
		"pod-7.ABCDEFGHIJKL-3":        {"pod-7.ABCDEFGHIJKL", "pod-7"},
		"10.0.0.7.ABCDEFGHIJKL-3":     {"10.0.0.7.ABCDEFGHIJKL", "10.0.0.7"},
		"somebody-else":               {"somebody-else", "somebody-else"},
		"redis-consumer-1.2-3-nobody": {"redis-consumer-1.2", "redis-consumer-1"},
		"":                            {"", ""},
	} {
		run, id := runOf(consumer)
		require.Equal(t, want, [2]string{run, id}, consumer)
	}
}
