package dashboards

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// envPromtool names the environment variable with the path of promtool. Unset: the one on PATH, or else bin/prometheus/promtool in the root
// of the module, where `make promtool` puts it.
const envPromtool = "STREAMLEASE_PROMTOOL"

func findPromtool() (string, error) {
	if path := os.Getenv(envPromtool); path != "" {
		return exec.LookPath(path)
	}
	if path, err := exec.LookPath("promtool"); err == nil {
		return path, nil
	}
	path, err := filepath.Abs(filepath.Join(root, "bin", "prometheus", "promtool"))
	if err != nil {
		return "", err
	}
	if path, err = exec.LookPath(path); err != nil {
		return "", fmt.Errorf("%w: get it with `make promtool`, or set %s", err, envPromtool)
	}
	return path, nil
}

// promtool runs it, or says that it did not. Where all servers have to be there, it has to be, too.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := findPromtool()
	if err != nil {
		if os.Getenv(servers.EnvAllPrograms) != "" || os.Getenv(envPromtool) != "" {
			require.NoError(t, err)
		}
		t.Logf("NOT RUN: promtool %s: %v", strings.Join(args[:2], " "), err)
		return
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	promtool(t, "check", "rules", filepath.Join(root, "docs", "prometheus", "rules.yml"))
}

func TestAlertsFireAsTheyShould(t *testing.T) {
	files, _ := testsOf(t)
	promtool(t, append([]string{"test", "rules"}, files...)...)
}
