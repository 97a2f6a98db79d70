package memory

import (
	"context"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/streamlease/streamlease/test/servers"
)

// redis is the server that tests of the package compare with, one after another.
var redis = sync.OnceValues(func() (*servers.Server, error) {
	return servers.Start(context.Background(), servers.Options{})
})

type withServer struct{ *testing.M }

func (m withServer) Run() int {
	defer func() {
		if s, err := redis(); err == nil {
			_ = s.Stop()
		}
	}()
	return m.M.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(withServer{m}) }
