package wheel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ms     = int64(time.Millisecond)
	second = int64(time.Second)
	minute = int64(time.Minute)
	hour   = int64(time.Hour)
	day    = 24 * hour
)

func newWheel(t testing.TB, cfg Config, start int64) *Wheel {
	t.Helper()
	w, err := New(cfg, start)
	require.NoError(t, err)
	return w
}

// advance returns what came out, partition by partition.
func advance(w *Wheel, now int64) map[uint16][]Handle {
	var due Due
	w.Advance(now, &due)
	out := map[uint16][]Handle{}
	for p, handles := range due.Groups() {
		out[p] = append(out[p], handles...)
	}
	return out
}
