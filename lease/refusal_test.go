package lease

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRefusals(t *testing.T) {
	w := newHarness(t)
	for text, c := range map[string]struct {
		code      string
		permanent bool
		remedy    string
	}{
		"NOPERM User x has no permissions to run the 'xack' command":                       {"NOPERM", true, "grant"},
		"NOPERM No permissions to access a key (trying XADD on OOM-input)":                 {"NOPERM", true, "grant"},
		"ERR The user executing the script can't run this command or subcommand script: 1": {"can't run this command", true, "grant"},
		// From Redis 7.2 on.
		"ERR ACL failure in script: User x has no permissions to run the 'zadd' command":                                                 {"ACL failure in script", true, "grant"},
		"WRONGTYPE Operation against a key (trying XPENDING on ROOM-input)":                                                              {"WRONGTYPE", true, "delete or rename"},
		"WRONGTYPE Operation against a key (trying XPENDING on OOM-input)":                                                               {"WRONGTYPE", true, "delete or rename"},
		"WRONGTYPE Operation against BUSY":                                                                                               {"WRONGTYPE", true, "delete or rename"},
		"NOGROUP No such key 'OOM-input' or consumer group 'OOM-group'":                                                                  {"NOGROUP", false, "made again"},
		"OOM command not allowed when used memory > 'maxmemory'.":                                                                        {"OOM", false, "maxmemory"},
		"READONLY You can't write against a read only replica.":                                                                          {"READONLY", false, "master"},
		"LOADING Redis is loading the dataset in memory":                                                                                 {"LOADING", false, "loading"},
		"CLUSTERDOWN Hash slot not served":                                                                                               {"CLUSTERDOWN", false, "failover"},
		"TRYAGAIN Multiple keys request during rehashing of slot":                                                                        {"TRYAGAIN", false, "migrating"},
		"BUSY Redis is busy running a script.":                                                                                           {"BUSY", false, "blocks"},
		"NOSERVERID neither INFO nor CLUSTER MYID may be called":                                                                         {"NOSERVERID", true, "+info"},
		"ERR unknown command 'XPENDING', with args beginning with:":                                                                      {"unknown command", true, "6.2"},
		"ERR Unknown Redis command called from script script: 1, on @user_script:1.":                                                     {"Unknown Redis command", true, "6.2"},
		"ERR Unknown subcommand or wrong number of arguments for 'CREATECONSUMER'. Try XGROUP HELP. (trying XGROUP CREATECONSUMER on s)": {"Unknown subcommand", true, "6.2"},
		"ERR unknown subcommand 'CREATECONSUMER'. Try XGROUP HELP.":                                                                      {"unknown subcommand", true, "6.2"},
		"OLDSERVER the server knows neither A nor B":                                                                                     {"OLDSERVER", true, "6.2"},
		"ERR something else":                           {"", false, ""},
		"BUSYGROUP Consumer Group name already exists": {"BUSYGROUP", false, ""},
		// As servers before Redis 7 wrap what a script raises.
		"ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -OOM command not allowed":         {"OOM", false, "maxmemory"},
		"ERR Error running script (call to f_1): @user_script:9: -READONLY You can't write":                         {"READONLY", false, "master"},
		"ERR Error running script (call to f_1): @user_script:9: WRONGTYPE Operation against a key (trying X on O)": {"WRONGTYPE", true, "delete or rename"},
		"ERR Error running script: the ROOM is full of BUSYNESS":                                                    {"", false, ""},
	} {
		err := w.Try("EVAL", "return redis.error_reply(ARGV[1])", "0", text).Error()
		require.Error(t, err)
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err)} {
			code, ok := Refusal(err)
			require.True(t, ok, text)
			if c.code != "" {
				require.Equal(t, c.code, code, text)
			}
			require.Equal(t, !c.permanent, Retryable(err), text)
			require.ErrorIs(t, Explain(err), err)
			if c.remedy == "" {
				require.Equal(t, err, Explain(err))
			} else {
				require.ErrorContains(t, Explain(err), c.remedy, text)
			}
		}
	}
}

func TestWhatIsNoRefusal(t *testing.T) {
	w := newHarness(t)
	for _, err := range []error{
		nil, errors.New("OOM"), context.DeadlineExceeded, fmt.Errorf("x: %w", context.Canceled), w.Try("GET", "nothing").Error(),
	} {
		_, ok := Refusal(err)
		require.False(t, ok, err)
		require.True(t, Retryable(err))
	}
	require.NoError(t, Explain(nil))
	require.ErrorIs(t, Explain(context.DeadlineExceeded), context.DeadlineExceeded)
	require.ErrorContains(t, Explain(context.DeadlineExceeded), "may have run")
	other := errors.New("other")
	require.Equal(t, other, Explain(other))
}

func TestPipelineLimits(t *testing.T) {
	require.NoError(t, Pipeline{}.Validate())
	require.Equal(t, Pipeline{MaxBatch: DefaultMaxBatch, MaxInFlight: DefaultMaxInFlight}, Pipeline{}.WithDefaults())
	full := Pipeline{MaxBatch: MaxMaxBatch, MaxInFlight: MaxMaxInFlight, Timeout: time.Second}
	require.NoError(t, full.Validate())
	require.Equal(t, full, full.WithDefaults())
	for want, p := range map[string]Pipeline{
		"Pipeline.MaxBatch is 1001":   {MaxBatch: 1001},
		"Pipeline.MaxBatch is -1":     {MaxBatch: -1},
		"Pipeline.MaxInFlight is 65":  {MaxInFlight: 65},
		"Pipeline.MaxInFlight is -65": {MaxInFlight: -65},
		"Pipeline.Timeout is -1s":     {Timeout: -time.Second},
	} {
		require.ErrorContains(t, p.Validate(), want)
	}
}

// A script part that does not exist is found when the package starts, not when a script runs.
func TestScriptOfUnknownPartsPanics(t *testing.T) {
	require.Panics(t, func() { NewScript("x", "return 1", "nonsense") })
	require.Panics(t, func() { embedded("nonsense") })
}
