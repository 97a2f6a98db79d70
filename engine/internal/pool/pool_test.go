package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	waitFor = 10 * time.Second
	tick    = time.Millisecond
)

func TestTasksRunInOrderOnOneWorker(t *testing.T) {
	var got []int
	var wg sync.WaitGroup
	p := New(1, func(i int) { got = append(got, i); wg.Done() })
	var want []int
	for i := range 5000 {
		want = append(want, i)
		wg.Add(1)
		require.True(t, p.Add(i))
	}
	wg.Wait()
	<-p.Stop()
	require.Equal(t, want, got)
	require.False(t, p.Add(1))
}

func TestAtMostSoManyRunAtATime(t *testing.T) {
	const workers = 4
	var running, most atomic.Int64
	var wg sync.WaitGroup
	gate := make(chan struct{})
	p := New(workers, func(int) {
		defer wg.Done()
		most.Store(max(most.Load(), running.Add(1)))
		<-gate
		running.Add(-1)
	})
	for i := range 100 {
		wg.Add(1)
		p.Add(i)
	}
	require.Eventually(t, func() bool { return running.Load() == workers && p.Waiting() == 100-workers }, waitFor, tick)
	close(gate)
	wg.Wait()
	<-p.Stop()
	require.Equal(t, int64(workers), most.Load())
}

// A task that ends its goroutine takes no worker away, and none of the tasks behind it.
func TestGoexitCostsNoWorker(t *testing.T) {
	var wg sync.WaitGroup
	p := New(2, func(i int) {
		defer wg.Done()
		if i%2 == 0 {
			runtime.Goexit()
		}
	})
	for i := range 200 {
		wg.Add(1)
		p.Add(i)
	}
	wg.Wait()
	<-p.Stop()
}

func TestStopDropsWhatHasNotBegunAndWaitsForTheRest(t *testing.T) {
	begun, gate := make(chan int, 10), make(chan struct{})
	p := New(1, func(i int) { begun <- i; <-gate })
	for i := range 10 {
		p.Add(i)
	}
	require.Equal(t, 0, <-begun)
	stopped := p.Stop()
	select {
	case <-stopped:
		t.Fatal("a task is running")
	default:
	}
	close(gate)
	<-stopped
	require.Empty(t, begun)
}

func TestStopOfAnIdlePool(t *testing.T) {
	p := New(3, func(int) {})
	<-p.Stop()
}
