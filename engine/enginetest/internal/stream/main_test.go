package stream

import (
	"context"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamlease/streamlease/test/servers"
)

// server is the one that all tests of the package compare with, one after another.
var server = sync.OnceValues(func() (*servers.Server, error) {
	return servers.Start(context.Background(), servers.Options{OwnClock: true})
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
