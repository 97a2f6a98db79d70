package timing

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExpressionsAreShared(t *testing.T) {
	a, b := newCron(t, "*/5 * * * *", "Europe/Dublin"), newCron(t, "*/5 * * * *", "Europe/Dublin")
	require.Same(t, a.cron, b.cron)
	require.NotSame(t, a.cron, newCron(t, "*/5 * * * *", "Asia/Kathmandu").cron)
	require.Same(t, a.cron.zone, newCron(t, "0 0 * * *", "Europe/Dublin").cron.zone)
}

// Whoever makes up expressions and zones fills no memory.
func TestCacheIsBounded(t *testing.T) {
	c := newCache(10, 3)
	for i := range 60 {
		for _, zone := range []string{"", "Europe/Dublin", "Asia/Kathmandu", "Pacific/Apia", "America/Sao_Paulo"} {
			_, err := c.cron(fmt.Sprintf("%d * * * *", i), zone)
			require.NoError(t, err)
		}
		_, err := c.cron(fmt.Sprintf("%d 99 * * *", i), "")
		require.Error(t, err)
	}
	require.Len(t, c.mu.crons, 10)
	require.Len(t, c.mu.zones, 3)
}

func TestCacheIsSafe(t *testing.T) {
	c := newCache(3, 2)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				parsed, err := c.cron(fmt.Sprintf("%d * * * *", (g+i)%5), zones[i%4])
				if err != nil || parsed.minutes != 1<<((g+i)%5) {
					panic("another one")
				}
				parsed.next(int64(i))
			}
		})
	}
	wg.Wait()
}
