package readme

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// command is a simple command: NAME=value assignments, and words.
type command struct {
	where  string
	text   string // as the document has it
	env    []string
	words  []string
	inline bool // in a paragraph, not in a block
}

var assignment = regexp.MustCompile(`^[A-Za-z_]\w*=`)

// shell splits the text of a block into its commands. It knows quotes, comments, lines that go on after a backslash, && and pipes, and
// refuses what it does not know.
func shell(text string) (all []command, err error) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words, err := split(line)
		if err != nil {
			return nil, errors.New(line + ": " + err.Error())
		}
		c := command{text: line}
		end := func() {
			if len(c.words) > 0 || len(c.env) > 0 {
				all = append(all, c)
			}
			c = command{text: line}
		}
		for _, w := range words {
			switch {
			case !w.quoted && (w.text == "&&" || w.text == "|"):
				end()
			case len(c.words) == 0 && assignment.MatchString(w.text):
				c.env = append(c.env, w.text)
			default:
				c.words = append(c.words, w.text)
			}
		}
		end()
	}
	return all, nil
}

type word struct {
	text   string
	quoted bool
}

func split(line string) (words []word, err error) {
	var w word
	began := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t':
			if began {
				words = append(words, w)
			}
			w, began = word{}, false
			continue
		case '#':
			if !began {
				return words, nil
			}
			w.text += "#"
		case '\'', '"':
			end := strings.IndexByte(line[i+1:], c)
			if end < 0 {
				return nil, errors.New("a quote is not closed")
			}
			quoted := line[i+1 : i+1+end]
			if c == '"' && strings.ContainsAny(quoted, "$`\\") {
				return nil, errors.New("this test does not expand what is in double quotes")
			}
			w.text += quoted
			w.quoted = true
			i += 1 + end
		case '$', '`', '\\', ';', '<', '>', '(', ')':
			return nil, errors.New("this test does not know " + string(c) + " outside of quotes")
		default:
			w.text += string(c)
		}
		began = true
	}
	if began {
		words = append(words, w)
	}
	return words, nil
}

func TestShell(t *testing.T) {
	all, err := shell("make x   # says 'y'\nA=b C= \\\n  bench -out r size && redis-cli XADD k '*' f '{\"a\": 1}'\n\n# nothing\n")
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, []string{"make", "x"}, all[0].words)
	require.Equal(t, []string{"A=b", "C="}, all[1].env)
	require.Equal(t, []string{"bench", "-out", "r", "size"}, all[1].words)
	require.Equal(t, []string{"redis-cli", "XADD", "k", "*", "f", `{"a": 1}`}, all[2].words)
	for _, unknown := range []string{"a $B", "a > b", "a 'b", "a $(b)", `a "$b"`} {
		_, err := shell(unknown)
		require.Error(t, err, unknown)
	}
}
