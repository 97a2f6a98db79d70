package twin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/streamlease/streamlease/test/servers"
)

// Pool is a number of real servers, for one history at a time. A history that has more servers than the pool meets old identities
// again.
type Pool struct {
	reals []*real
}

// real is a real server.
type real struct {
	server *servers.Server
	admin  *link
	id     string
	now    time.Time
}

// NewPool starts servers, until the end of the test. It is called outside of bubbles.
func NewPool(t testing.TB, size int) *Pool {
	t.Helper()
	p := &Pool{}
	for range size {
		s := servers.New(t, servers.OwnClock(), servers.Args("--enable-debug-command", "local"))
		info, err := s.Info(context.Background(), "server")
		if err != nil {
			t.Fatal(err)
		}
		admin, err := dial(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(admin.close)
		p.reals = append(p.reals, &real{server: s, admin: admin, id: info["run_id"]})
	}
	return p
}

// at sets the clock.
func (r *real) at(now time.Time) error {
	if now.Equal(r.now) {
		return nil
	}
	r.now = now
	return r.server.FreezeClock(now)
}

// begin empties the server, and has it load what another one has, unless that is nil.
func (r *real) begin(from *real, now time.Time) error {
	if err := r.at(now); err != nil {
		return err
	}
	if err := r.admin.all([]string{"FLUSHALL"}, []string{"SCRIPT", "FLUSH"}); err != nil || from == nil {
		return err
	}
	if err := from.at(now); err != nil {
		return err
	}
	if err := from.admin.all([]string{"SAVE"}); err != nil {
		return err
	}
	const file = "dump.rdb"
	b, err := os.ReadFile(filepath.Join(from.server.Dir(), file))
	if err == nil {
		err = os.WriteFile(filepath.Join(r.server.Dir(), file), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("twin: %w", err)
	}
	return r.admin.all([]string{"DEBUG", "RELOAD", "NOSAVE"})
}
