package reading

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// envHammer names the environment variable with the number of messages of the hammering tests, for runs that are longer than those of every
// day: STREAMLEASE_HAMMER=3000000 go test -run Hammer -timeout 1h ./engine/feed/internal/reading
const envHammer = "STREAMLEASE_HAMMER"

func hammered(messages int) int {
	if n, err := strconv.Atoi(os.Getenv(envHammer)); err == nil {
		return n
	}
	return messages
}

// hammer is a load of numbered messages on many streams, and their sources. What a wake-up that was lost would leave unread stays unread, since
// there is no sweep.
type hammer struct {
	sources []*source
	writes  []int64 // messages written to each stream; only its writer changes it
	written atomic.Int64
}

func newHammer(r *Reader, streams int, name func(i int) string) *hammer {
	h := &hammer{writes: make([]int64, streams)}
	for i := range streams {
		s := newSource(name(i))
		s.keep = false
		h.sources = append(h.sources, s)
		s.add(r)
	}
	return h
}

// write writes about that many messages from several goroutines, each with streams of its own. Some of them are written in bursts, some one
// by one, so that streams are rung at rest, while they are read, and while they are being armed.
func (h *hammer) write(t *testing.T, client rueidis.Client, messages, writers int) {
	t.Helper()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), uint64(messages)))
			for left := messages / writers; left > 0; {
				n := min(1<<random.IntN(8), left)
				left -= n
				h.burst(t, client, random, w, writers, n)
				if random.IntN(20) == 0 {
					time.Sleep(time.Duration(random.IntN(2000)) * time.Microsecond)
				}
			}
		})
	}
	all.Wait()
}

func (h *hammer) burst(t *testing.T, client rueidis.Client, random *rand.Rand, writer, writers, n int) {
	commands := make(rueidis.Commands, 0, n)
	for range n {
		i := random.IntN(len(h.sources)/writers)*writers + writer
		if random.IntN(4) == 0 {
			i = writer // one that is always busy
		}
		h.writes[i]++
		commands = append(commands, client.B().Xadd().Key(h.sources[i].stream).Id("*").FieldValue().FieldValue("n", strconv.FormatInt(h.writes[i], 10)).Build())
	}
	for _, answer := range client.DoMulti(t.Context(), commands...) {
		require.NoError(t, answer.Error())
	}
	h.written.Add(int64(n))
}

// check waits until everything was read, and requires that nothing is missing, out of order, or there twice.
func (h *hammer) check(t *testing.T, r *Reader) {
	t.Helper()
	behind := ""
	caught := wait.For(soon, 10*time.Millisecond, func() bool {
		behind = ""
		for i, s := range h.sources {
			if s.seen() < int(h.writes[i]) {
				r.mu.Lock()
				behind = fmt.Sprintf("%s has %d of %d: state %d flags %b", s.stream, s.seen(), h.writes[i], s.handle.state, s.handle.flags)
				r.mu.Unlock()
				return false
			}
		}
		return true
	})
	require.True(t, caught, "%s; %+v", behind, r.Stats())
	for i, s := range h.sources {
		require.Empty(t, s.gaps)
		require.Equal(t, int(h.writes[i]), s.seen(), s.stream)
	}
	s := r.Stats()
	t.Logf("%d messages, %+v", h.written.Load(), s)
	require.LessOrEqual(t, s.UsedBytes, int64(0))
}

// No wake-up is lost, however messages and reads meet.
func TestHammer(t *testing.T) {
	programs := servers.Available(t)
	if os.Getenv(envHammer) == "" && len(programs) > 2 {
		programs = programs[:2]
	}
	for _, p := range programs {
		t.Run(p.String(), func(t *testing.T) {
			s := servers.New(t, servers.On(p))
			r := start(t, s.ClientOption(), nil)
			h := newHammer(r, 3000, func(i int) string { return fmt.Sprint("s", i) })
			h.write(t, s.Client(t), hammered(40_000), 4)
			h.check(t, r)
		})
	}
}

func TestHammerCluster(t *testing.T) {
	c := servers.NewCluster(t, servers.ClusterOptions{Replicas: -1})
	r := start(t, c.ClientOption(), inCluster(t, c))
	h := newHammer(r, 3000, func(i int) string { return fmt.Sprint("s", i) })
	h.write(t, c.Client(t), hammered(40_000), 4)
	h.check(t, r)
	require.Equal(t, 3, r.Stats().Lanes)
}
