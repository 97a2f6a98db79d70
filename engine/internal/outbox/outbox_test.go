package outbox

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/virtual"
)

func TestOutboxKeepsOrderAndSurvivesItsHook(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		var got []int
		results := map[Result]int{}
		o := New(func(n int) {
			got = append(got, n)
			time.Sleep(time.Millisecond)
			switch n % 3 {
			case 1:
				panic(n)
			case 2:
				runtime.Goexit()
			}
		}, func(r Result, err error) {
			results[r]++
			require.Equal(t, r == Panicked, err != nil)
		})
		var want []int
		for n := range 30 {
			o.Post(n)
			want = append(want, n)
		}
		o.Close(t.Context())
		require.Equal(t, want, got)
		require.Equal(t, map[Result]int{Delivered: 10, Panicked: 20}, results)
		o.Post(30)
		synctest.Wait()
		require.Equal(t, want, got, "closed")
		require.Equal(t, 1, results[Dropped])
	})
}

func TestOutboxIsBounded(t *testing.T) {
	virtual.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var results [3]atomic.Int32
		o := New(func(int) { <-release }, func(r Result, _ error) { results[r].Add(1) })
		o.Post(0)
		synctest.Wait()
		for range Limit + 7 {
			o.Post(1)
		}
		require.EqualValues(t, 7, results[Dropped].Load())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o.Close(ctx)
		require.EqualValues(t, 7+Limit, results[Dropped].Load(), "what waits when Close no longer waits for it")
		close(release)
		synctest.Wait()
		require.EqualValues(t, 1, results[Delivered].Load())
	})
}

func TestResultsHaveNames(t *testing.T) {
	var names []string
	for i, r := range Results {
		require.EqualValues(t, i, r)
		names = append(names, r.String())
	}
	require.Equal(t, []string{"delivered", "panicked", "dropped"}, names)
}
