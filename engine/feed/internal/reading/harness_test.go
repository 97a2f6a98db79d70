package reading

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/wait"
)

// source is a Source that takes in everything at once, unless then says otherwise.
type source struct {
	stream string
	count  int
	then   func(s *source, r Result) Then // nil: Again after a full page, else Rest
	next   func(s *source) bool           // nil: true

	busy  atomic.Int32 // calls in progress
	calls atomic.Int32

	mu      sync.Mutex
	reader  *Reader
	handle  *Handle
	after   string
	got     []Message // only if keep
	keep    bool
	total   int
	numbers int64 // the number in the last message, where they are numbered
	gaps    []string
	infos   []Info
	errs    []error
}

func newSource(stream string) *source { return &source{stream: stream, count: 100, keep: true} }

func (s *source) Stream() string { return s.stream }

func (s *source) enter() func() {
	if s.busy.Add(1) != 1 {
		panic("calls for one source overlap")
	}
	s.calls.Add(1)
	return func() { s.busy.Add(-1) }
}

func (s *source) Next() (string, int, bool) {
	defer s.enter()()
	if s.next != nil && !s.next(s) {
		return "", 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.after, s.count, true
}

func (s *source) Read(r Result) Then {
	defer s.enter()()
	s.mu.Lock()
	for i := range r.Messages {
		s.take(&r.Messages[i])
	}
	if r.Info != nil {
		s.infos = append(s.infos, *r.Info)
	}
	if r.Err != nil {
		s.errs = append(s.errs, r.Err)
	}
	s.mu.Unlock()
	if s.then != nil {
		return s.then(s, r)
	}
	s.reader.Release(r.Bytes)
	if r.Full {
		return Again
	}
	if r.Err != nil {
		return Hold
	}
	return Rest
}

// take checks the order, and that numbers have no gap, if there are any.
func (s *source) take(m *Message) {
	s.after = m.ID
	s.total++
	if s.keep {
		s.got = append(s.got, *m)
	}
	if text, ok := m.Get("n"); ok {
		n, _ := strconv.ParseInt(text, 10, 64)
		if n != s.numbers+1 && len(s.gaps) < 10 {
			s.gaps = append(s.gaps, fmt.Sprintf("%s: %d after %d, id %s", s.stream, n, s.numbers, m.ID))
		}
		s.numbers = n
	}
}

func (s *source) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func (s *source) lastInfo() (Info, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.infos) == 0 {
		return Info{}, false
	}
	return s.infos[len(s.infos)-1], true
}

func (s *source) failures() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]error(nil), s.errs...)
}

// dial returns a factory of clients with these options.
func dial(o rueidis.ClientOption) func(func(*rueidis.ClientOption)) (rueidis.Client, error) {
	return func(tune func(*rueidis.ClientOption)) (rueidis.Client, error) {
		o := o
		tune(&o)
		return rueidis.NewClient(o)
	}
}

// start makes a reader of a server, and runs it until the end of the test.
func start(t testing.TB, o rueidis.ClientOption, change func(*Config)) *Reader {
	t.Helper()
	client, err := rueidis.NewClient(o)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	cfg := Config{NewClient: dial(o), Client: client, Mode: Tracking, Sweep: NoSweep}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	require.NoError(t, err)
	run(t, r)
	return r
}

func run(t testing.TB, r *Reader) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

func (s *source) add(r *Reader) *Handle {
	s.reader = r
	h := r.Add(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = h
	return h
}

const soon = 20 * time.Second

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.True(t, wait.For(soon, 2*time.Millisecond, ok), what)
}

// allResting waits until all streams of a reader are armed.
func allResting(t testing.TB, r *Reader) {
	t.Helper()
	if !wait.For(soon, 5*time.Millisecond, func() bool { s := r.Stats(); return s.Connected && s.Resting == s.Streams }) {
		require.Fail(t, "not at rest", "%+v", r.Stats())
	}
}

func call(t testing.TB, s *servers.Server, args ...string) string {
	t.Helper()
	answer, err := s.Call(t.Context(), args...)
	require.NoError(t, err)
	return answer
}

// each runs a test on each kind of server, at once.
func each(t *testing.T, f func(t *testing.T, s *servers.Server)) {
	for _, p := range servers.Available(t) {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			f(t, servers.New(t, servers.On(p)))
		})
	}
}

// inCluster has a reader know which master serves which slot, as it was when the test called this.
func inCluster(t testing.TB, c *servers.Cluster) func(*Config) {
	t.Helper()
	client := c.Client(t)
	topology := cluster.NewTopology(client, 2*time.Second)
	_, err := topology.Look(t.Context())
	require.NoError(t, err)
	return func(cfg *Config) {
		cfg.SlotMaster = func(slot uint16) string {
			m := topology.Current()
			if i := m.Master(slot); i >= 0 {
				return m.Masters()[i].Addr
			}
			return ""
		}
	}
}
