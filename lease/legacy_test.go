package lease

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/proxy"
)

// Trace: a consumer of another library has an entry and no lock, and the question about its lock is not answered in time. That used to count
// as a lock that is held, and stopped the start of an engine for good.
func TestUnansweredQuestionAboutALockIsNoLock(t *testing.T) {
	w := newHarness(t)
	f, p := w.faulty()
	w.open(alice)
	id := w.announce("s")
	w.Do("XREADGROUP", "GROUP", w.layout.Group(), LegacyPrefix+"old", "COUNT", "1", "STREAMS", w.keys.Input, ">")
	alive, err := f.store.Legacy(f.ctx, 0)
	require.NoError(t, err)
	require.Empty(t, alive)
	repair := p.Inject(proxy.Fault{Command: "exists", Action: proxy.CutAfter})
	alive, err = f.store.Legacy(f.ctx, 0)
	require.Error(t, err)
	require.Empty(t, alive, "it is not known")
	repair()
	w.Do("SET", "s:"+id, "x")
	require.Eventually(t, func() bool { alive, err = f.store.Legacy(f.ctx, 0); return err == nil }, 20*time.Second, time.Millisecond)
	require.Equal(t, LegacyPrefix+"old", alive)
}

// The locks of redis-stream-client-go are named "<data stream><MUTEX_KEY_SEP><entry ID>" since its v0.3.3, where MUTEX_KEY_SEP is no
// placeholder. Engines took every living consumer of those versions for gone, and recovered what it still owned.
func TestLocksOfEachVersionOfTheOlderLibraryAreKnown(t *testing.T) {
	for _, separator := range []string{":", "<MUTEX_KEY_SEP>"} {
		w := newHarness(t)
		f, _ := w.faulty()
		w.open(alice)
		id := w.announce("s")
		w.Do("XREADGROUP", "GROUP", w.layout.Group(), LegacyPrefix+"old", "COUNT", "1", "STREAMS", w.keys.Input, ">")
		alive, err := f.store.Legacy(f.ctx, 0)
		require.NoError(t, err)
		require.Empty(t, alive, separator)
		w.Do("SET", "s"+separator+id, LegacyPrefix+"old", "PX", "60000")
		alive, err = f.store.Legacy(f.ctx, 0)
		require.NoError(t, err)
		require.Equal(t, LegacyPrefix+"old", alive, separator)
	}
}
