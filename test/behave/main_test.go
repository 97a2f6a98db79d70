package behave_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/leaks"
	"github.com/streamlease/streamlease/test/servers"
)

const (
	// envOn names the environment variable that lists the kinds to run on, by name. Unset: all of them.
	envOn = "STREAMLEASE_BEHAVE_ON"
	// envAll names the environment variable that makes everything run on every kind if it is set to anything. So do tests that
	// were chosen by -run.
	envAll = "STREAMLEASE_BEHAVE_ALL"
)

// What an engine does to leases and entries depends on the kind of servers in few places, so everything runs on the first kind,
// and on each of the others only what that kind may change. The scripts of packages lease and scan have tests of their own on each
// program, and the rights in docs/acl.md have test/rights.
var (
	// everywhere has each script, each way to receive notifications and the end of the servers: what a client that dials in
	// another way, or another program that runs the scripts, may change.
	everywhere = []string{"TestPrograms", "TestPlainXADDFromTheCommandLineIsTaken", "TestScriptsAreSentByHash", "TestPublisherReachesHandlers",
		"TestStreamsAnnouncedManyTimesHaveOneOwner", "TestOwnerLearnsWhatAnotherProcessRead", "TestEndingsOutsideTheHandler",
		"TestHandlersThatFail", "TestDelaysAreKeptInRedis", "TestRunEach", "TestStart", "TestShutdownHandsEverythingOver",
		"TestShutdownWithRedisGone", "TestShutdownWhileRedisNeverAnswered"}
	// byProgram is what depends on how a program treats entries and groups that were changed by hand, and on the limits of its Lua.
	byProgram = []string{"TestConsumerRemovedWhileItHoldsStreams", "TestAcknowledgedByHandWhileHeld", "TestDeletedByHandWhileHeld",
		"TestTrimmedByProducersWhileHeld", "TestGroupDestroyedWhileHeld", "TestClaimedByHandForAnotherConsumer",
		"TestStrandedAnnouncementsAreHandedOutAgain", "TestTrimmedWhileHeldShowsInTheBacklog", "TestTrimmedBodiesOfHeldEntriesAreAnnouncedAgain",
		"TestMalformedAnnouncementsAreDeadLetters", "TestAnnouncementWithTooManyFieldsToCopy", "TestOneFieldFiveThousandTimesBlocksNothing",
		"TestEntriesWithOurFieldsOnlyBlockNoLostSession", "TestAnnouncementTooLargeToBeCopiedIsReferredTo"}
	// byPartitions is what several partitions, on several masters, may change: whose entry it is, and what is counted or bounded
	// for all of them together.
	byPartitions = []string{"TestAnnouncementsReachTheirPartition", "TestPublisherAndEnginesAgreeOnPartitions", "TestPublishedNotBefore",
		"TestSetMaxStreams", "TestDoneStreamDoesNotSeeTheStreamsOfOthers", "TestDoneOfAStreamThatAnotherProcessOwns",
		"TestOwnerIsNotifiedThatItsStreamWasAnnouncedAgain", "TestShutdownRequeuesParkedEntries", "TestShutdownEndsAtTheDrainTimeout",
		"TestConsumerRemovedJustBeforeTheDrain", "TestGroupDestroyedWhileHeld", "TestStrandedAnnouncementsAreHandedOutAgain",
		"TestOneFieldFiveThousandTimesBlocksNothing", "TestEntriesWithOurFieldsOnlyBlockNoLostSession", "TestDoneAfterTheLeaseWasDeletedByHand",
		"TestTrimmedBodiesOfParkedEntriesAreAnnouncedAgain", "TestWorkStartedInAHandlerStopsWithItsLease", "TestEndOfTheContextOfRunDrains"}
)

// atOnce is how many parallel tests run at a time: they wait for servers more than for processors.
const atOnce = "6"

// suite runs the tests of this package on each kind of servers in turn.
type suite struct{ *testing.M }

func (s suite) Run() (code int) {
	flag.Parse()
	set("test.parallel", atOnce)
	asked := os.Getenv(envOn)
	chosen := flag.Lookup("test.run").Value.String()
	for _, k := range kinds {
		if asked != "" && !slices.Contains(strings.Split(asked, ","), k.name) {
			continue
		}
		if _, err := k.program.Binary(); err != nil && k.program == servers.Memory { // it is built from here, so nothing can be missing
			fmt.Println(err)
			code = 1
			continue
		} else if err != nil {
			fmt.Printf("NOT RUN on %s: %v\n", k.name, err) // TestPrograms decides whether that is a failure
			continue
		}
		run := chosen
		if k.tests != nil && chosen == "" && os.Getenv(envAll) == "" {
			run = "^(" + strings.Join(slices.Concat(k.tests...), "|") + ")$"
		}
		set("test.run", run)
		fmt.Printf("on %s:\n", k.name)
		code = max(code, s.runOn(k))
	}
	return code
}

func set(name, value string) {
	if err := flag.Set(name, value); err != nil {
		panic(err)
	}
}

// runOn runs what was chosen on one kind.
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

// TestKindsNameTests: a name that no test has would leave a kind without that test.
func TestKindsNameTests(t *testing.T) {
	var text []byte
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, f := range files {
		source, err := os.ReadFile(f)
		require.NoError(t, err)
		text = append(text, source...)
	}
	for _, k := range kinds {
		for _, name := range slices.Concat(k.tests...) {
			require.Contains(t, string(text), "\nfunc "+name+"(", k.name)
		}
	}
}

func TestMain(m *testing.M) { leaks.Check(suite{m}) }
