package readme

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/test/servers"
)

// goBlocks returns the blocks of Go: whole programs, and all else.
func goBlocks(t *testing.T) (programs, pieces []fence) {
	t.Helper()
	for _, b := range blocks(t, "go") {
		if strings.HasPrefix(b.text, "package main\n") && !strings.Contains(b.text, "\nimport \"testing\"") {
			programs = append(programs, b)
		} else {
			pieces = append(pieces, b)
		}
	}
	return programs, pieces
}

// TestEveryProgramRuns starts each program of the documents, on a server of its own, except those that a test of their own runs and looks
// at. One that follows streams is interrupted once it is in touch with the server; any program must end well.
func TestEveryProgramRuns(t *testing.T) {
	programs, _ := goBlocks(t)
	require.NotEmpty(t, programs)
	for _, b := range programs {
		t.Run(strings.ReplaceAll(b.where, "/", " "), func(t *testing.T) {
			t.Parallel()
			runs(t, b)
		})
	}
}

func runs(t *testing.T, b fence) {
	server := servers.New(t)
	client := server.Client(t)
	p := start(t, b.text, server.Addr())
	deadline := time.Now().Add(30 * time.Second)
	for touched := false; !touched && time.Now().Before(deadline); {
		select {
		case err := <-p.ended:
			require.NoError(t, err, "%s: %s", b.where, p.out)
			touched = true
			p.ended <- nil
		case <-time.After(10 * time.Millisecond):
			keys, err := client.Do(context.Background(), client.B().Keys().Pattern("{*}:sessions").Build()).AsStrSlice()
			require.NoError(t, err)
			touched = len(keys) > 0
		}
	}
	_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case err := <-p.ended:
		require.NoError(t, err, "%s: %s", b.where, p.out)
	case <-time.After(time.Until(deadline)):
		require.Fail(t, "it does not end", "%s: %s", b.where, p.out)
	}
}

// A piece of a program stands in a frame: the packages that it names are imported, and some variables are there. Whatever else it needs, an
// HTML comment before the block says: declarations after "surrounded by:".
const surroundedBy = "surrounded by:"

// usual are the variables that a piece may use.
var usual = map[string]string{
	"ctx":       "context.Context",
	"client":    "rueidis.Client",
	"option":    "rueidis.ClientOption",
	"e":         "*engine.Engine",
	"publisher": "*engine.Publisher",
	"table":     "*schedule.Table",
	"inspector": "*scan.Inspector",
	"handler":   "api.Handler",
	"lease":     "api.Lease",
	"l":         "api.Lease",
	"n":         "api.Notification",
	"err":       "error",
}

// declares matches a piece that belongs to the top of a file.
var declares = regexp.MustCompile(`(?m)\A(//.*\n|\n)*(func [\w(]|type |var |const |import )`)

// wrap makes a file of a piece: what declares something is at the top, and all else in a function, whose result is guessed.
func wrap(b fence) string {
	around := ""
	if more, is := strings.CutPrefix(b.comment, surroundedBy); is {
		around = "\n" + more + "\n"
	}
	switch {
	case regexp.MustCompile(`(?m)\A(//.*\n|\n)*package `).MatchString(b.text):
		return b.text + around
	case declares.MatchString(b.text):
		return "package piece\n" + b.text + around
	case regexp.MustCompile(`(?m)^\s*return \S`).MatchString(b.text):
		return "package piece\nfunc _() error {\n" + b.text + "\nreturn nil\n}\n" + around
	}
	return "package piece\nfunc _() {\n" + b.text + "}\n" + around
}

func TestEveryGoBlockCompiles(t *testing.T) {
	programs, pieces := goBlocks(t)
	require.Greater(t, len(pieces), 20)
	checked := check(t, append(pieces, programs...))
	for where, problem := range checked {
		t.Errorf("%s: %s", where, problem)
	}

	good := []string{
		"err := lease.Done(ctx)\nkept := 1\nif err != nil {\n\treturn err\n}\n",
		"// f does it.\nfunc f(l api.Lease) time.Duration { return l.Remaining() }\n",
		"package x\n\nimport \"fmt\"\n\nfunc f() { fmt.Println() }\n",
	}
	bad := map[string]string{
		"lease.Finish(ctx)\nkept := 1\n":        "lease.Finish undefined",
		"func f() { engine.Start() }\n":         "undefined: engine.Start",
		"jobs.Publish(ctx, \"a\", nil)\n":       "undefined: jobs",
		"x := 1\nx = \"a\"\n":                   "cannot use",
		"func f() int {\n\tfmt.Println()\n}\n":  "missing return",
		"func f() {\n\tfmt.Println(\n":          "expected",
		"package x\n\nfunc f() { fmt.Print() }": "undefined: fmt",
	}
	var control []fence
	for _, text := range good {
		control = append(control, fence{where: text, text: text})
	}
	for text := range bad {
		control = append(control, fence{where: text, text: text})
	}
	control = append(control, fence{where: "given", text: "jobs.Publish(ctx, \"a\", nil)\n", comment: surroundedBy + " var jobs *engine.Publisher"})
	found := check(t, control)
	for text, problem := range bad {
		require.Contains(t, found[text], problem)
	}
	require.Len(t, found, len(bad))
}
