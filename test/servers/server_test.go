package servers

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

func set(t *testing.T, c rueidis.Client, key, value string) {
	t.Helper()
	require.NoError(t, c.Do(t.Context(), c.B().Set().Key(key).Value(value).Build()).Error())
}

// get reads a key on a new connection, so that it works across restarts. It returns "" for a missing key.
func get(t *testing.T, s *Server, key string) string {
	t.Helper()
	c, err := rueidis.NewClient(s.ClientOption())
	require.NoError(t, err)
	defer c.Close()
	value, err := c.Do(t.Context(), c.B().Get().Key(key).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return ""
	}
	require.NoError(t, err)
	return value
}

func config(t *testing.T, c rueidis.Client, name string) string {
	t.Helper()
	values, err := c.Do(t.Context(), c.B().ConfigGet().Parameter(name).Build()).AsStrMap()
	require.NoError(t, err)
	return values[name]
}

func TestServerAnswersAndKeepsNothing(t *testing.T) {
	s := New(t)
	c := s.Client(t)
	set(t, c, "k", "v")
	require.Equal(t, "v", get(t, s, "k"))
	require.Empty(t, config(t, c, "save"))
	require.Equal(t, "no", config(t, c, "appendonly"))
	require.Equal(t, "127.0.0.1", config(t, c, "bind"))
	info, err := s.Info(t.Context(), "server")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(s.PID()), info["process_id"])
	require.Equal(t, strconv.Itoa(s.Port()), info["tcp_port"])
	require.Empty(t, info["config_file"])
	require.Contains(t, s.LogTail(), "Ready to accept connections")
}

func TestArgsWin(t *testing.T) {
	s := New(t, Args("--maxmemory", "2mb"), Args("--appendonly", "yes"))
	require.Equal(t, "2097152", config(t, s.Client(t), "maxmemory"))
	require.Equal(t, "yes", config(t, s.Client(t), "appendonly"))
}

func TestStopIsFinalAndIdempotent(t *testing.T) {
	s, err := Start(t.Context(), Options{})
	require.NoError(t, err)
	pid := s.PID()
	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop())
	require.False(t, running(pid))
	require.NoDirExists(t, s.Dir())
	require.Contains(t, s.LogTail(), "bye bye", "it was asked to stop, not killed")
	require.ErrorIs(t, s.Restart(t.Context(), false), ErrStopped)
	require.ErrorIs(t, s.Pause(), ErrStopped)
	require.NoError(t, s.Kill())
	_, err = s.Info(t.Context(), "")
	require.Error(t, err)
}

func TestDirIsKept(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{Dir: dir, Persist: true})
	require.NoError(t, err)
	require.Equal(t, dir, s.Dir())
	require.NoError(t, s.Stop())
	require.FileExists(t, filepath.Join(dir, logName))
}

func TestRestart(t *testing.T) {
	for name, tc := range map[string]struct {
		persist, kill, keep bool
		want                string
	}{
		"in memory, kept":         {keep: true, want: "v"},
		"in memory, emptied":      {},
		"in memory, killed":       {kill: true},
		"persistent, kept":        {persist: true, keep: true, want: "v"},
		"persistent, emptied":     {persist: true},
		"persistent, killed":      {persist: true, kill: true, keep: true, want: "v"},
		"persistent, kill, empty": {persist: true, kill: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Start(t.Context(), Options{Persist: tc.persist})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Stop()) }()
			set(t, s.Client(t), "k", "v")
			pid, port := s.PID(), s.Port()
			if tc.kill {
				require.NoError(t, s.Kill())
				require.False(t, running(pid))
			}
			require.NoError(t, s.Restart(t.Context(), tc.keep))
			require.Equal(t, tc.want, get(t, s, "k"))
			require.Equal(t, port, s.Port())
			require.NotEqual(t, pid, s.PID())
			// What one restart kept must not come back after the next one drops it.
			require.NoError(t, s.Restart(t.Context(), false))
			require.Empty(t, get(t, s, "k"))
		})
	}
}

func TestKilledServerCannotKeepWhatItNeverWrote(t *testing.T) {
	s := New(t)
	require.NoError(t, s.Kill())
	require.ErrorContains(t, s.Restart(t.Context(), true), "cannot keep the data")
	require.NoError(t, s.Restart(t.Context(), false))
}

func TestPauseAnswersNothing(t *testing.T) {
	s := New(t)
	require.NoError(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Info(ctx, "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Resume())
	_, err = s.Info(t.Context(), "")
	require.NoError(t, err)
	require.NoError(t, s.Pause())
	require.NoError(t, s.Stop(), "a paused server is killed")
	require.False(t, running(s.PID()))
}

func TestPassword(t *testing.T) {
	s := New(t, Password("secret"))
	set(t, s.Client(t), "k", "v")
	_, err := s.Info(t.Context(), "")
	require.NoError(t, err)
	opt := s.ClientOption()
	opt.Password = ""
	_, err = rueidis.NewClient(opt)
	require.ErrorContains(t, err, "NOAUTH")
}

func TestReplicaFollowsAndIsPromoted(t *testing.T) {
	master := New(t, Password("secret"))
	set(t, master.Client(t), "before", "1")
	replica := New(t, ReplicaOf(master))
	require.Equal(t, "1", get(t, replica, "before"), "in step when it is started")
	set(t, master.Client(t), "after", "2")
	require.Eventually(t, func() bool { return get(t, replica, "after") == "2" }, 10*time.Second, 5*time.Millisecond)
	c := replica.Client(t)
	require.ErrorContains(t, c.Do(t.Context(), c.B().Set().Key("k").Value("v").Build()).Error(), "READONLY")

	set(t, master.Client(t), "last", "3")
	require.NoError(t, AwaitInStep(t.Context(), master, replica))
	require.Equal(t, "3", get(t, replica, "last"))

	require.NoError(t, replica.Promote(t.Context()))
	set(t, c, "k", "v")
	require.NoError(t, master.Follow(t.Context(), replica))
	require.Equal(t, "v", get(t, master, "k"))
	require.NoError(t, master.Restart(t.Context(), false))
	require.Equal(t, "v", get(t, master, "k"), "still follows")
}

func TestNoBinarySaysHowToInstallOne(t *testing.T) {
	t.Setenv(EnvBinary, "")
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), Options{})
	require.ErrorIs(t, err, ErrNoBinary)
	require.ErrorContains(t, err, "apt-get install redis-server")
	require.ErrorContains(t, err, "make deps")

	t.Setenv(EnvBinary, filepath.Join(t.TempDir(), "valkey-server"))
	_, err = Start(t.Context(), Options{})
	require.ErrorIs(t, err, ErrNoBinary)
	require.ErrorContains(t, err, "valkey-server")
}

func TestFailedStartShowsTheLogAndLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	_, err := Start(t.Context(), Options{Args: []string{"--no-such-directive", "1"}})
	require.ErrorIs(t, err, errExited)
	require.ErrorContains(t, err, "no-such-directive")
	requireEmpty(t, tmp)
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	master := New(t)
	require.NoError(t, master.Pause())
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error)
	go func() {
		_, err := Start(ctx, Options{Dir: dir, ReplicaOf: master})
		failed <- err
	}()
	require.Eventually(t, func() bool {
		log, err := os.ReadFile(filepath.Join(dir, logName))
		return err == nil && strings.Contains(string(log), "sync started")
	}, 20*time.Second, 5*time.Millisecond, "the replica waits for its master")
	cancel()
	err := <-failed
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "sync started", "the log says how far it got")
	log, err := os.ReadFile(filepath.Join(dir, logName))
	require.NoError(t, err)
	number, _, _ := strings.Cut(string(log), ":")
	pid, err := strconv.Atoi(number)
	require.NoError(t, err)
	require.False(t, running(pid))
}

func TestTakenPortIsNoticedAtOnce(t *testing.T) {
	port, err := reservePort()
	require.NoError(t, err)
	defer releasePort(port)
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	require.NoError(t, err)
	defer l.Close()
	binary, err := (&Options{}).findBinary()
	require.NoError(t, err)
	s := &Server{binary: binary, dir: t.TempDir(), port: port}
	require.ErrorIs(t, s.launch(t.Context()), errPortTaken)
	require.False(t, claimPort(port), "reserved")
	require.False(t, listenable(port))
}

func TestManyAtOnce(t *testing.T) {
	const n = 8
	results := make(chan error, n)
	for range n {
		go func() {
			s, err := Start(t.Context(), Options{})
			if err == nil {
				err = s.Stop()
			}
			results <- err
		}()
	}
	for range n {
		require.NoError(t, <-results)
	}
}

func TestPortsStayOutOfTheRangeOfOutgoingConnections(t *testing.T) {
	port, err := reservePort()
	require.NoError(t, err)
	defer releasePort(port)
	require.GreaterOrEqual(t, port, firstPort)
	require.Less(t, port+busOffset, 32768)
}
