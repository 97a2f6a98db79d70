package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamlease/streamlease/test/servers"
)

// version is what the commands are like. Later ones differ: a consumer has a time at which it was active, for one thing.
const version = "7.0."

// server is the one that all tests of the package compare with, one after another.
var server = sync.OnceValues(func() (*servers.Server, error) {
	ctx := context.Background()
	s, err := servers.Start(ctx, servers.Options{OwnClock: true})
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx, "server")
	if have := info["redis_version"]; err == nil && !strings.HasPrefix(have, version) {
		err = fmt.Errorf("this package is held against Redis %sx, and the server is %s: set %s to the path of one", version, have, servers.EnvBinary)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
})

type withServer struct{ *testing.M }

func (m withServer) Run() int {
	defer func() {
		if s, err := server(); err == nil {
			_ = s.Stop()
		}
	}()
	return m.M.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServer{m}) }
