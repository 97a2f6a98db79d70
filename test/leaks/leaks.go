package leaks

import "go.uber.org/goleak"

// Check runs the tests of a package, for its TestMain, and fails if goroutines are left that were not there before. The pool
// library starts two when it is loaded; those are there before.
func Check(m goleak.TestingM) { goleak.VerifyTestMain(m, Known()...) }

// Known are the goroutines that are no leaks: those that are there now, and those of a cluster's client that end after it
// was closed. One asks for the topology at most a second after it was last asked for, one closes after 5 s the
// connections that are needed no more.
func Known() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreCurrent(),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
	}
}
