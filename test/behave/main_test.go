package behave_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

const (
	// envOn names the environment variable that says what to run on, a list of names of kinds. Unset: all of them.
	envOn = "STREAMLEASE_BEHAVE_ON"
	// envAll names the environment variable that makes everything run on every kind, when it is set to anything.
	envAll = "STREAMLEASE_BEHAVE_ALL"
)

// once are tests that take long and show nothing new on other servers: unless asked for, they run on the first kind only.
const once = "^(TestFloodOfAnnouncements|TestBlockedWorkersLoseNoLease|TestStartWithNobodyReceiving)$"

// atOnce is how many parallel tests run at a time: they wait for servers more than for processors.
const atOnce = "6"

// suite is all tests of this package, run on one kind of servers after the other.
type suite struct{ *testing.M }

func (s suite) Run() (code int) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	asked := os.Getenv(envOn)
	skip := flag.Lookup("test.skip").Value.String()
	for i, k := range kinds {
		if asked != "" && !slices.Contains(strings.Split(asked, ","), k.name) {
			continue
		}
		if _, err := k.program.Binary(); err != nil {
			fmt.Printf("NOT RUN on %s: %v\n", k.name, err) // TestPrograms decides what that means
			continue
		}
		without := skip
		if i > 0 && os.Getenv(envAll) == "" && skip == "" {
			without = once
		}
		if err := flag.Set("test.skip", without); err != nil {
			panic(err)
		}
		fmt.Printf("on %s, without %q:\n", k.name, without)
		code = max(code, s.runOn(k))
	}
	return code
}

// runOn runs everything on one kind.
func (s suite) runOn(k *kind) (code int) {
	on.kind, on.shared = k, nil
	if k.start == nil {
		return s.M.Run()
	}
	shared, err := k.start()
	if err == nil {
		on.shared = shared
		code = s.M.Run()
		err = shared.Stop()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", k.name, err)
		return max(code, 1)
	}
	return code
}

// The worker pool's package starts goroutines of its own when it is loaded: those are there by now, and are ignored.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(suite{m}, append(late, goleak.IgnoreCurrent())...)
}

// late are goroutines of a cluster's client that end after it was closed: one asks for the topology at most a second after
// it was last asked for, one closes after 5 s the connections that are needed no more.
var late = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"),
	goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"),
}
