package virtual

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimeIsVirtual(t *testing.T) {
	usual := runtime.GOMAXPROCS(0)
	Test(t, func(t *testing.T) {
		began := time.Now()
		time.Sleep(24 * time.Hour)
		require.Equal(t, 24*time.Hour, time.Since(began))
		if raceDetector {
			require.Equal(t, 1, runtime.GOMAXPROCS(0))
		}
	})
	require.Equal(t, usual, runtime.GOMAXPROCS(0))
}

func TestLastTestRestoresTheProcessors(t *testing.T) {
	usual := runtime.GOMAXPROCS(0)
	var s single
	s.enter()
	s.enter()
	s.leave()
	require.Equal(t, 1, runtime.GOMAXPROCS(0))
	s.leave()
	require.Equal(t, usual, runtime.GOMAXPROCS(0))
}
