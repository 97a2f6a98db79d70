package leaks

import "go.uber.org/goleak"

// Check runs the tests of a package, for its TestMain, and fails if they leave goroutines behind. The two that the pool library
// starts when it is loaded exist before, so they do not count.
func Check(m goleak.TestingM) { goleak.VerifyTestMain(m, Known()...) }

// Known returns the goroutines that are not leaks: those that exist now, and two of a cluster client that end some time after it
// was closed. One refreshes the topology up to a second after the last request for it, one closes unused connections after
// 5 s.
func Known() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
	}
}
