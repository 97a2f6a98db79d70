package balance

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/leaks"
	"github.com/streamlease/streamlease/test/servers"
)

// shared is the cluster that tests use, each with a service of its own: starting one takes seconds.
var shared struct {
	sync.Mutex
	cluster *servers.Cluster
}

func sharedCluster(t testing.TB) *servers.Cluster {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		c, err := servers.StartCluster(context.Background(), servers.ClusterOptions{Replicas: -1})
		require.NoError(t, err)
		shared.cluster = c
	}
	return shared.cluster
}

// ending stops the cluster after the tests.
type ending struct{ *testing.M }

func (e ending) Run() int {
	code := e.M.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		return code
	}
	if err := shared.cluster.Stop(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return max(code, 1)
	}
	return code
}

func TestMain(m *testing.M) { leaks.Check(ending{m}) }
