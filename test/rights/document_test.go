package rights

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine/preflight"
	"github.com/streamlease/streamlease/lease"
	"github.com/streamlease/streamlease/scan"
)

var update = flag.Bool("update", false, "update the rules in docs/acl.md")

const document = "../../docs/acl.md"

// needs are the needs of an engine.
var needs = []preflight.Need{preflight.Always, preflight.ToSettle, preflight.ToStop, preflight.ToSignal, preflight.ToCheckpoint, preflight.ToBalance,
	preflight.OnCluster}

// extra returns the rules that more needs add to those of an engine.
func extra(partitions int, more ...preflight.Need) (rules []string) {
	base := preflight.Rules("chat", partitions, needs...)
	for _, r := range preflight.Rules("chat", partitions, append(slices.Clone(needs), more...)...) {
		if !slices.Contains(base, r) {
			rules = append(rules, r)
		}
	}
	return rules
}

// blocks returns the commands in the document, in order.
func blocks() (all [][]string) {
	begin := func(user string) []string { return []string{"ACL", "SETUSER", user} }
	fresh := func(user string) []string { return append(begin(user), "on", ">secret", "resetchannels") }
	return [][]string{
		append(fresh("chat"), preflight.Rules("chat", 1, needs...)...),
		append(fresh("chat"), preflight.Rules("chat", 16, needs...)...),
		append(begin("chat"), preflight.ReadingRules(preflight.Reading{Streams: []string{"events:*"}, Tracks: true, Trims: true})...),
		append(fresh("chat-producer"), preflight.ProducerRules("chat", 16)...),
		append(fresh("chat-publisher"), preflight.PublisherRules("chat", 16)...),
		append(begin("chat-publisher"), "+client|tracking"),
		append(begin("chat-publisher"), preflight.SenderRules("chat", 16)...),
		append(begin("chat"), extra(1, preflight.WithHints)...),
		append(begin("chat"), extra(1, preflight.WithHintsSet)...),
		append(begin("chat"), extra(1, preflight.ToInspect)...),
		append(begin("chat"), extra(16, preflight.ToInspect, preflight.ToOperate)...),
		append(fresh("chat-viewer"), preflight.LookRules("chat", 16)...),
		append(begin("chat-viewer"), preflight.AskRules()...),
		append(begin("chat"), "+acl|whoami", "+acl|dryrun", "+config|get"),
		append(begin("chat-producer"), preflight.SignalRules("chat", 16)...),
		append(fresh("chat-scheduler"), preflight.TableRules("chat", 16)...),
	}
}

// The document grants exactly what the code uses.
func TestDocumentGrantsWhatIsUsed(t *testing.T) {
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	code := regexp.MustCompile("(?s)```text\n(ACL SETUSER.*?)```")
	want := blocks()
	found := code.FindAllSubmatchIndex(text, -1)
	require.Len(t, found, len(want))
	if *update {
		for i := len(found) - 1; i >= 0; i-- {
			text = slices.Concat(text[:found[i][2]], []byte(wrap(want[i])), text[found[i][3]:])
		}
		require.NoError(t, os.WriteFile(document, text, 0o644))
		return
	}
	for i, at := range found {
		require.Equal(t, want[i], strings.Fields(string(text[at[2]:at[3]])), "go test ./test/rights -run Document -update")
	}
}

func wrap(words []string) string {
	const width = 110
	var b strings.Builder
	length := 0
	for i, w := range words {
		switch {
		case i == 0:
		case length+1+len(w) > width:
			b.WriteString("\n  ")
			length = 2
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(w)
		length += len(w)
	}
	return b.String() + "\n"
}

// The table of rights lists every command that a script can call, and nothing else.
func TestRightsAreThoseOfTheScripts(t *testing.T) {
	quoted := regexp.MustCompile(`[({]\s*'([A-Z]{2,})'(?:, '([A-Z]+)')?`)
	containers := []string{"xgroup", "xinfo", "cluster"}
	used := map[string]bool{}
	for _, s := range slices.Concat(lease.Scripts(), scan.Scripts()) {
		for _, m := range quoted.FindAllStringSubmatch(s.Body(), -1) {
			name := strings.ToLower(m[1])
			if slices.Contains(containers, name) {
				name += "|" + strings.ToLower(m[2])
			}
			used[name] = true
		}
	}
	require.Greater(t, len(used), 30)
	listed := map[string]bool{}
	for _, r := range preflight.AllRights() {
		listed[r.Command] = true
	}
	for _, option := range []string{"idle"} {
		delete(used, option)
	}
	for name := range used {
		require.True(t, listed[name], "%s is used and not listed", name)
	}
	// Commands sent outside of scripts.
	outside := []string{"ping", "evalsha", "eval", "xadd", "xreadgroup", "cluster|slots", "cluster|shards", "psubscribe", "config|get", "config|set",
		"client|unblock", "client|tracking"}
	for name := range listed {
		require.True(t, used[name] || slices.Contains(outside, name), "%s is listed and not used", name)
	}
}
