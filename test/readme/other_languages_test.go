package readme

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/cluster"
	"github.com/streamlease/streamlease/lease"
)

// TestProducersInOtherLanguages has the producers of docs/producing.md announce streams to a client that only writes down what it is told,
// where their interpreters are installed, and compares that with what a publisher would do. None of them needs a package.
func TestProducersInOtherLanguages(t *testing.T) {
	names := []string{"user-1", "room:42", "{tag}.a", "a{}b", "x{{y}z}", "}{", "{open", "größer", "雪"}
	interpreters := map[string]struct {
		program string
		args    []string
		after   string // what is appended to the block: it reads names, and writes what is added, a line each
	}{
		"python": {"python3", []string{"-"}, `
class Client:
    def xadd(self, key, fields):
        print(json.dumps([key, fields["lbs-input"]]))
for name in json.loads(NAMES):
    announce(Client(), "chat", name, {"lang": "en"}, 5)
`},
		"js": {"node", []string{"-"}, `
const client = { xAdd: async (key, id, fields) => console.log(JSON.stringify([key, fields["lbs-input"]])) };
(async () => { for (const name of JSON.parse(NAMES)) await announce(client, "chat", name, { lang: "en" }, 5); })();
`},
	}
	layout, err := cluster.NewLayout("chat", 5)
	require.NoError(t, err)
	list, err := json.Marshal(names)
	require.NoError(t, err)
	for language, interpreter := range interpreters {
		source := block(t, "docs/producing.md", language, "announce(")
		if _, err := exec.LookPath(interpreter.program); err != nil {
			t.Logf("NOT RUN: %v", err)
			continue
		}
		literal, err := json.Marshal(string(list))
		require.NoError(t, err)
		run := exec.Command(interpreter.program, interpreter.args...)
		run.Stdin = strings.NewReader(source + strings.ReplaceAll(interpreter.after, "NAMES", string(literal)))
		out, err := run.CombinedOutput()
		require.NoError(t, err, "%s", out)
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		require.Len(t, lines, len(names), language)
		for i, name := range names {
			var added []string
			require.NoError(t, json.Unmarshal([]byte(lines[i]), &added))
			require.Equal(t, layout.Keys(layout.Of(name)).Input, added[0], "%s: %s", language, name)
			want, err := lease.EncodeAnnouncement(name, json.RawMessage(`{"lang":"en"}`))
			require.NoError(t, err)
			require.JSONEq(t, want, added[1], language)
		}
	}
}
