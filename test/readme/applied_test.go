package readme

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// applied is one statement that an owner sends: the amount of a message is its number.
type applied struct{ token, message int }

// orders returns all orders in which the statements of two owners can arrive.
func orders(a, b []applied) [][]applied {
	if len(a) == 0 || len(b) == 0 {
		return [][]applied{append(append([]applied{}, a...), b...)}
	}
	var out [][]applied
	for _, rest := range orders(a[1:], b) {
		out = append(out, append([]applied{a[0]}, rest...))
	}
	for _, rest := range orders(a, b[1:]) {
		out = append(out, append([]applied{b[0]}, rest...))
	}
	return out
}

// TestMessagesAreAppliedOnceInEveryOrder runs the statement of the page on reading messages in SQLite: the first owner dies before its
// position is stored, and its last statements arrive at any time.
func TestMessagesAreAppliedOnceInEveryOrder(t *testing.T) {
	if !have(t, "sqlite3") {
		return
	}
	source := block(t, "docs/messages.md", "go", "ON CONFLICT (id) DO UPDATE")
	statement := regexp.MustCompile("(?s)`\\s*(INSERT INTO account.*?)`").FindStringSubmatch(source)
	require.NotNil(t, statement)
	all := orders([]applied{{1, 1}, {1, 2}}, []applied{{2, 1}, {2, 2}, {2, 3}})
	require.Len(t, all, 10)
	sums := func(statement string) (sums []string) {
		for _, order := range all {
			sql := strings.Builder{}
			sql.WriteString("CREATE TABLE account (id TEXT PRIMARY KEY, value INTEGER, token INTEGER, ms INTEGER, seq INTEGER);\n")
			for _, x := range order {
				values := strings.NewReplacer("$1", "'stream'", "$2", fmt.Sprint(x.message), "$3", fmt.Sprint(x.token), "$4", "1700000000000",
					"$5", fmt.Sprint(x.message))
				sql.WriteString(values.Replace(statement) + ";\n")
			}
			sql.WriteString("SELECT value FROM account;\n")
			cmd := exec.Command("sqlite3", "-batch", filepath.Join(t.TempDir(), "db"))
			cmd.Stdin = strings.NewReader(sql.String())
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			sums = append(sums, strings.TrimSpace(string(out)))
		}
		return sums
	}
	for i, sum := range sums(statement[1]) {
		require.Equal(t, "6", sum, "%v", all[i])
	}
	// Without the ID, some order goes wrong: this test can fail.
	const once = " AND (account.ms, account.seq) < (excluded.ms, excluded.seq)"
	require.Contains(t, statement[1], once)
	require.Contains(t, sums(strings.Replace(statement[1], once, "", 1)), "9")
}
