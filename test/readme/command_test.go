package readme

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/test/servers"
)

// reader is somebody who types what the documents say, on a server of their own.
type reader struct {
	server   *servers.Server
	client   rueidis.Client
	programs string // folder of bench and streamlease, as built
	folder   string // what documents call FILE or FOLDER
	tried    map[string]error
}

func newReader(t *testing.T) *reader {
	t.Helper()
	server := servers.New(t)
	r := &reader{server: server, client: server.Client(t), programs: t.TempDir(), folder: t.TempDir(), tried: make(map[string]error)}
	for _, program := range []string{"bench", "streamlease"} {
		build := exec.Command("go", "build", "-o", filepath.Join(r.programs, program), "./cmd/"+program)
		build.Dir = filepath.Join(root, "bench")
		out, err := build.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	// The service of the documents, with a stream that is announced.
	publisher, err := engine.NewPublisher(r.client, "chat")
	require.NoError(t, err)
	_, err = publisher.Publish(t.Context(), "user-1", nil)
	require.NoError(t, err)
	r.group(t)
	return r
}

// group has the service's group, which a page may have deleted with the service: whoever reads the next page has one.
func (r *reader) group(t *testing.T) {
	t.Helper()
	_, err := r.server.Call(t.Context(), "XGROUP", "CREATE", "chat-input", "chat-group", "0", "MKSTREAM")
	if err != nil {
		require.ErrorContains(t, err, "BUSYGROUP")
	}
}

// rules are the programs that documents may name, with what is done with a command: it is run where that takes no time, and is else
// checked to be one that the program accepts.
var rules = map[string]func(r *reader, c command) error{
	"make":            (*reader).make,
	"bench":           (*reader).bench,
	"bin/bench":       (*reader).bench,
	"streamlease":     (*reader).streamlease,
	"bin/streamlease": (*reader).streamlease,
	"go":              (*reader).gocommand,
	"redis-cli":       (*reader).cli,
	"kubectl":         (*reader).kubectl,
	"docker":          (*reader).docker,
	"kind":            (*reader).kind,
	"helm":            (*reader).helm,
	"ssh":             (*reader).ssh,
}

// statement matches what looks like a command and is one of Go.
var statement = regexp.MustCompile(`^go (func\b|\w+[.(]|[\d.]+$)`)

// TestEveryCommandWorks types each command of the README and of the pages: those in blocks, and those in paragraphs that begin with the
// name of a program. A command that no rule knows fails: it has to have one.
func TestEveryCommandWorks(t *testing.T) {
	r := newReader(t)
	typed := make(map[string]int)
	for _, document := range documents(t) {
		r.group(t)
		for _, c := range commandsOf(t, document) {
			typed[document]++
			if err := r.try(c); err != nil {
				t.Errorf("%s: %s\n%v", c.where, c.text, err)
			}
		}
	}
	t.Log(typed)
	for _, document := range []string{
		"README.md", "docs/costs.md", "docs/sizing.md", "docs/partitions.md", "docs/redis.md", "docs/kubernetes/README.md",
	} {
		require.Positive(t, typed[document], document)
	}

	for _, wrong := range nearly {
		all, err := shell(wrong)
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Error(t, r.try(all[0]), wrong)
	}
}

// nearly are commands that are nearly right.
var nearly = []string{
	"make demos", "bench hold -four 20s", "bench hold -for 20", "bench held", "bench -out hold", "bench", "bench soak -four 20s",
	"bench preflight -addr URL",
	"bench preflight -service chat", "bench preflight -redis URL -service chat -partitions x", "bench scale extra",
	"streamlease tops", "streamlease owners -what x",
	"streamlease delete -redis URL -service chat", "streamlease repartition -redis URL -service chat",
	"redis-cli XAD chat-input '*' a b", "redis-cli --cluster rehash", "redis-cli", "bench size …",
	"kubectl apply -f x", "kubectl apply -k docs", "kubectl rollout status deployment/chats", "kubectl exec statefulset/redis -- redis-cli XAD k",
	"kubectl logs -l app.kubernetes.io/name=chats", "docker build -f docs/Dockerfile -t chat:1 .", "docker build -f docs/kubernetes/Dockerfile -t chat .",
	"kind load docker-image chats:1", "helm upgrade --install x y -f docs/values.yaml",
	"go run ./test/structures", "go run ./cmd/bench held", "go test ./test/structure -updates", "go test ./engine -run TestNoSuchThing",
	"go test ./nowhere", "go get github.com/streamlease/stream", "go install github.com/streamlease/streamlease/cmd/bench@latest", "go fix ./...", "A=b",
}

// prompt matches what is typed in a session.
var prompt = regexp.MustCompile(`(?m)^\$ (.*)$`)

func commandsOf(t *testing.T, document string) (all []command) {
	t.Helper()
	blocks, rest := fences(document, read(t, document))
	for _, b := range blocks {
		text := b.text
		switch {
		case strings.HasPrefix(b.comment, runBy):
			continue
		case b.language == "console":
			text = strings.Join(prompt.FindAllString(text, -1), "\n")
			text = prompt.ReplaceAllString(text, "$1")
		case b.language == "redis":
			text = regexp.MustCompile(`(?m)^([A-Z])`).ReplaceAllString(text, "redis-cli $1")
		case b.language != "sh":
			continue
		}
		commands, err := shell(text)
		require.NoError(t, err, b.where)
		for _, c := range commands {
			c.where = b.where
			all = append(all, c)
		}
	}
	for _, s := range spans(document, rest) {
		if strings.HasPrefix(s.text, "STREAMLEASE_") && !strings.Contains(s.text, " ") {
			continue // a variable
		}
		first, _, more := strings.Cut(s.text, " ")
		if !more || rules[first] == nil && !assignment.MatchString(first) || statement.MatchString(s.text) {
			continue
		}
		commands, err := shell(s.text)
		require.NoError(t, err, s.where)
		for _, c := range commands {
			if len(c.words) > 0 && rules[c.words[0]] != nil {
				c.where, c.inline = s.where, true
				all = append(all, c)
			}
		}
	}
	return all
}

// try runs or checks a command, once however often documents have it.
func (r *reader) try(c command) error {
	if len(c.words) == 0 {
		return errors.New("there is no command")
	}
	key := fmt.Sprintf("%q %v", c.words, c.inline)
	err, known := r.tried[key]
	if !known {
		err = r.tryFirst(c)
		r.tried[key] = err
	}
	return err
}

func (r *reader) tryFirst(c command) error {
	rule := rules[c.words[0]]
	if rule == nil {
		return fmt.Errorf("%s is none of the programs that this test knows: give it a rule", c.words[0])
	}
	c.words = slices.Clone(c.words)
	for i, w := range c.words {
		switch {
		case w == "URL", strings.HasPrefix(w, "redis://") && i > 0 && strings.HasSuffix(c.words[i-1], "-redis"):
			c.words[i] = "redis://" + r.server.Addr()
		case w == "FILE", w == "FOLDER":
			c.words[i] = filepath.Join(r.folder, "x")
		case strings.Contains(w, "…") || strings.Contains(w, "..."):
			if !strings.HasSuffix(w, "/...") {
				return fmt.Errorf("%q cannot be typed", w)
			}
		}
	}
	return rule(r, c)
}

// run runs a program, and returns what it wrote if it fails.
func (r *reader) run(dir, program string, args ...string) error {
	out, err := r.output(dir, program, args...)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (r *reader) output(dir, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "STREAMLEASE_REDIS_URL=") || strings.HasPrefix(v, "STREAMLEASE_REDIS_PASSWORD=")
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with what it has started and would wait for
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.New("it was still running after a minute")
	}
	return string(out), err
}

// parse has a program with subcommands parse its arguments: help comes after the flags before it were accepted.
func (r *reader) parse(program string, args []string) error {
	if !slices.Contains(args, "help") && !slices.Contains(args, "-version") {
		args = append(slices.Clone(args), "-h")
	}
	out, err := r.output(r.folder, filepath.Join(r.programs, program), args...)
	if slices.Contains(args, "-version") {
		return err
	}
	if err == nil && strings.HasPrefix(out, "NAME:\n   "+filepath.Base(program)+" - ") && !slices.Contains(args, "help") { // not that of a subcommand
		err = errors.New("no subcommand")
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// make asks make what it would do: it knows the target. Only help is short enough to be run.
func (r *reader) make(c command) error {
	args := c.words[1:]
	if len(args) != 1 || args[0] != "help" {
		args = append([]string{"-n"}, args...)
	}
	return r.run(root, "make", args...)
}

// bench parses what measures, which takes its time, and runs what only looks at a server.
func (r *reader) bench(c command) error {
	args := c.words[1:]
	if !slices.Contains(args, "preflight") || !slices.Contains(args, "-service") {
		return r.parse("bench", args)
	}
	if !slices.Contains(args, "-redis") {
		return errors.New("it would look at whatever runs on the usual port")
	}
	return r.run(r.folder, filepath.Join(r.programs, "bench"), args...)
}

// streamlease changes the service on the server of the reader.
func (r *reader) streamlease(c command) error {
	if !slices.Contains(c.words, "-redis") || !slices.Contains(c.words, "-service") {
		return r.parse("streamlease", c.words[1:])
	}
	return r.run(r.folder, filepath.Join(r.programs, "streamlease"), append(slices.Clone(c.words[1:]), "-yes")...)
}

// ssh knows tunnels only.
func (r *reader) ssh(c command) error {
	if len(c.words) != 4 || c.words[1] != "-L" || !regexp.MustCompile(`^\d+:[\w.]+:\d+$`).MatchString(c.words[2]) || c.words[3] != "HOST" {
		return errors.New("no rule for this form of ssh")
	}
	return nil
}

// cli sends what redis-cli would send. Its own subcommands are only checked to exist.
func (r *reader) cli(c command) error {
	args := c.words[1:]
	for len(args) > 1 && slices.Contains([]string{"-u", "-h", "-p", "-n", "-a", "--user", "--pass"}, args[0]) {
		args = args[2:]
	}
	if len(args) > 1 && args[0] == "--cluster" {
		if !slices.Contains([]string{"create", "check", "info", "fix", "reshard", "rebalance", "add-node", "del-node", "call"}, args[1]) {
			return fmt.Errorf("redis-cli --cluster has no %s", args[1])
		}
		return nil
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return errors.New("no command for the server")
	}
	err := r.client.Do(context.Background(), r.client.B().Arbitrary(args...).Build()).Error()
	if rueidis.IsRedisNil(err) {
		return nil // an answer, too
	}
	return err
}

// gocommand runs programs of the repository, and looks up what tests it would run: those have their own turn.
func (r *reader) gocommand(c command) error {
	dir, args := root, slices.Clone(c.words[1:])
	if len(args) > 2 && args[1] == "-C" {
		dir, args = filepath.Join(root, args[2]), slices.Delete(args, 1, 3)
	}
	if c.inline && (slices.Contains([]string{"doc", "mod", "list", "install"}, args[0]) || len(args) == 1) || slices.Equal(args, []string{"mod", "tidy"}) {
		return nil // what a sentence names, or what the go command does by itself
	}
	if len(args) < 2 {
		return fmt.Errorf("go %s of what?", strings.Join(args, " "))
	}
	switch verb, target := args[0], args[1]; verb {
	case "run":
		switch strings.TrimPrefix(strings.TrimPrefix(target, "./"), "bench/") { // in bench, where the document says so
		case "cmd/bench":
			return r.bench(command{words: args[1:]})
		case "cmd/streamlease":
			return r.streamlease(command{words: args[1:]})
		}
		return r.run(dir, "go", args...)
	case "test":
		return goTest(dir, args[1:])
	case "get":
		module, _, _ := strings.Cut(target, "@")
		if text, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(module, library), "go.mod")); err != nil || !strings.HasPrefix(string(text), "module "+module+"\n") {
			return fmt.Errorf("this module has another path than %s", module)
		}
		return nil
	case "install":
		folder, version, _ := strings.Cut(strings.TrimPrefix(target, library+"/"), "@")
		if _, err := os.Stat(filepath.Join(root, folder, "main.go")); err != nil && !strings.HasPrefix(folder, "…") {
			return fmt.Errorf("%s cannot be installed: %w", target, err)
		} else if version != "latest" && !strings.HasPrefix(version, "v") {
			return fmt.Errorf("%s has no version", target)
		}
		return nil
	case "build", "vet":
		return r.run(dir, "go", append([]string{"list"}, args[len(args)-1])...)
	}
	return fmt.Errorf("no rule for go %s", args[0])
}

var (
	ofGoTest = []string{"-race", "-count", "-run", "-v", "-p", "-timeout", "-fuzz", "-fuzztime", "-bench", "-benchmem", "-short", "-parallel"}
	valued   = []string{"-count", "-run", "-p", "-timeout", "-fuzz", "-fuzztime", "-bench", "-parallel"}
)

// goTest looks up packages, tests and flags of go test.
func goTest(dir string, args []string) error {
	var sources strings.Builder
	flags := make(map[string]string)
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, ".") }) {
		args = append(args, ".")
	}
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(name, "-"):
			files, _ := filepath.Glob(filepath.Join(dir, strings.TrimSuffix(name, "/..."), "*_test.go"))
			if len(files) == 0 && !strings.HasSuffix(name, "...") {
				return fmt.Errorf("%s has no tests", name)
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				sources.Write(text)
			}
			continue
		case !given && slices.Contains(valued, name) && i+1 < len(args):
			i++
			value = args[i]
		}
		flags[name] = value
	}
	for name, value := range flags {
		if !slices.Contains(ofGoTest, name) && !strings.Contains(sources.String(), `flag.Bool("`+name[1:]+`"`) {
			return fmt.Errorf("%s is no flag of go test nor of these tests", name)
		}
		if name != "-run" && name != "-fuzz" && name != "-bench" || value == "^$" || value == "." {
			continue
		}
		pattern, err := regexp.Compile(value)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`).FindAllStringSubmatch(sources.String(), -1),
			func(m []string) bool { return pattern.MatchString(m[1]) }) {
			return fmt.Errorf("%s %s matches no test there", name, value)
		}
	}
	return nil
}

// Every environment variable of ours that a document names is one that the code reads.
func TestEveryVariableIsRead(t *testing.T) {
	sources := make(map[string]bool)
	variable := regexp.MustCompile(`\bSTREAMLEASE_[A-Z_]*[A-Z]\b`)
	for _, pattern := range []string{"bench/address/*.go", "bench/cmd/streamlease/*.go", "test/servers/*.go", "test/*/*_test.go", "Makefile", ".ci/*"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, name := range variable.FindAllString(string(text), -1) {
				sources[name] = true
			}
		}
	}
	for _, document := range documents(t) {
		for _, name := range variable.FindAllString(read(t, document), -1) {
			require.Contains(t, sources, name, document)
		}
	}
}
