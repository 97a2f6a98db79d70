package behave_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/streamlease/streamlease/test/leaks"
)

const (
	// envOn names the environment variable that lists the kinds to run on, by name. Unset: all of them.
	envOn = "STREAMLEASE_BEHAVE_ON"
	// envAll names the environment variable that makes everything run on every kind if it is set to anything.
	envAll = "STREAMLEASE_BEHAVE_ALL"
)

// once are slow tests that show nothing new on other servers: unless asked for, they run on the first kind only.
const once = "^(TestFloodOfAnnouncements|TestBlockedWorkersLoseNoLease|TestStartWithNobodyReceiving|TestShutdownWhileServersStandStill|TestReadyFollowsTheServer)$"

// atOnce is how many parallel tests run at a time: they wait for servers more than for processors.
const atOnce = "6"

// suite runs all tests of this package on each kind of servers in turn.
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
			fmt.Printf("NOT RUN on %s: %v\n", k.name, err) // TestPrograms decides whether that is a failure
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

func TestMain(m *testing.M) { leaks.Check(suite{m}) }
