package kubernetes

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/test/servers"
	"github.com/streamlease/streamlease/test/telemetry"
	"github.com/streamlease/streamlease/test/wait"
)

const patience = time.Minute

// build builds the program by the line of the Dockerfile, but with cgo as it is set here: else most would have to be compiled again.
func build(t *testing.T) (program string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^RUN CGO_ENABLED=0 go (build .*) -o /chat (\S+)$`).FindStringSubmatch(dockerfile(t))
	require.NotNil(t, line)
	program = filepath.Join(t.TempDir(), "chat")
	cmd := exec.Command("go", append(strings.Fields(line[1]), "-o", program, line[2])...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return program
}

// kubelet is what starts and asks the program: its environment is that of the manifest.
type kubelet struct {
	t     *testing.T
	m     *manifests
	cmd   *exec.Cmd
	out   *telemetry.Log
	ended chan error
	url   string
}

func run(t *testing.T, m *manifests, program, redis, password string) *kubelet {
	t.Helper()
	k := &kubelet{t: t, m: m, cmd: exec.Command(program), out: new(telemetry.Log), ended: make(chan error, 1)}
	replaced := map[string]string{
		"POD_NAME": "chat-6b7f-x2x", "REDIS_URL": "redis://" + redis, "REDIS_PASSWORD": password,
		"LOCK_FILE": filepath.Join(t.TempDir(), filepath.Base(m.variable(t, "LOCK_FILE").Value)),
	}
	k.cmd.Env = []string{"LISTEN=127.0.0.1:0"}
	for _, v := range m.container().Env {
		value, found := replaced[v.Name]
		if !found {
			require.NotEmpty(t, v.Value, v.Name)
			value = v.Value
		}
		k.cmd.Env = append(k.cmd.Env, v.Name+"="+value)
	}
	k.cmd.Stdout, k.cmd.Stderr = k.out, k.out
	require.NoError(t, k.cmd.Start())
	go func() {
		k.ended <- k.cmd.Wait()
		close(k.ended)
	}()
	t.Cleanup(func() {
		_ = k.cmd.Process.Kill()
		for range k.ended {
		}
	})
	k.await("the address in its log", func() bool {
		address := regexp.MustCompile(`"serving","address":"([^"]+)"`).FindStringSubmatch(k.out.String())
		if address != nil {
			k.url = "http://" + address[1]
		}
		return address != nil
	})
	return k
}

func (k *kubelet) await(what string, ok func() bool) {
	k.t.Helper()
	require.True(k.t, wait.For(patience, 20*time.Millisecond, ok), "%s in %s: %s", what, patience, k.out)
}

// get asks the port that a probe or the monitor names.
func (k *kubelet) get(name, path string) (status int, body string) {
	k.t.Helper()
	require.True(k.t, slices.ContainsFunc(k.m.container().Ports, func(p port) bool { return p.Name == name }))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(k.url + path)
	require.NoError(k.t, err, "%s", k.out)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(k.t, err)
	return answer.StatusCode, string(text)
}

// TestProgramRunsAsAPod runs what the Dockerfile builds with the environment of the deployment, on a Redis with the arguments of the
// overlay, and asks for what probes and the monitor ask.
func TestProgramRunsAsAPod(t *testing.T) {
	m := load(t)
	_, password, _ := strings.Cut(m.try.SecretGenerator[0].Literals[0], "=")
	args := m.redis.Spec.Template.Spec.Containers[0].Args
	require.Equal(t, []string{"redis-server", "--requirepass", "$(REDIS_PASSWORD)"}, args[:3])
	server := servers.New(t, servers.Password(password), servers.Args(args[3:]...))
	client := server.Client(t)
	k := run(t, m, build(t), server.Addr(), password)
	ready, live := m.container().Readiness.HTTPGet, m.container().Liveness.HTTPGet
	require.NotEqual(t, ready.Path, live.Path)
	k.await("ready", func() bool {
		status, _ := k.get(ready.Port, ready.Path)
		return status == http.StatusOK
	})
	status, _ := k.get(live.Port, live.Path)
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, k.out.String(), "evicts keys", "noeviction")

	publisher, err := engine.NewPublisher(client, "chat")
	require.NoError(t, err)
	_, err = publisher.Publish(t.Context(), "user-1", nil)
	require.NoError(t, err)
	require.NoError(t, client.Do(t.Context(), client.B().Xadd().Key("user-1").Id("*").FieldValue().FieldValue("text", "hello").Build()).Error())
	k.await("the message", func() bool { return k.out.Has("hello") })
	inspector, err := scan.NewInspector(client, "chat", scan.InspectorConfig{})
	require.NoError(t, err)
	owner, err := inspector.Owner(t.Context(), "user-1")
	require.NoError(t, err)
	require.Contains(t, owner.Consumer, "chat-6b7f-x2x", "POD_NAME")

	endpoint := m.monitor.Spec.Endpoints[0]
	series := func(name string) string { return fmt.Sprintf(`(?m)^%s\{partition="0",service="chat"\} `, name) }
	for _, metric := range m.autoscaler.Spec.Metrics {
		name := metric.Pods.Metric.Name + metric.External.Metric.Name
		k.await(name, func() bool {
			_, body := k.get(endpoint.Port, endpoint.Path)
			return regexp.MustCompile(series(name)).MatchString(body)
		})
	}
	_, body := k.get(endpoint.Port, endpoint.Path)
	require.Regexp(t, series("streamlease_held")+"1\n", body)
	require.Regexp(t, `(?m)^streamlease_max_streams\{service="chat"\} 10000$`, body)

	require.NoError(t, k.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-k.ended, "%s", k.out)
	owner, err = inspector.Owner(t.Context(), "user-1")
	require.NoError(t, err)
	require.Empty(t, owner.Consumer, "handed back")
	n, err := client.Do(t.Context(), client.B().Xlen().Key("chat-input").Build()).AsInt64()
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "and there for the next one")
}

// Without Redis a pod lives, and is not ready: nothing restarts it. SIGTERM ends it all the same.
func TestProgramWithoutRedisIsLiveAndNotReady(t *testing.T) {
	m := load(t)
	server := servers.New(t)
	require.NoError(t, server.Kill())
	k := run(t, m, build(t), server.Addr(), "")
	status, reason := k.get("http", m.container().Readiness.HTTPGet.Path)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.NotEmpty(t, reason)
	status, _ = k.get("http", m.container().Liveness.HTTPGet.Path)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, k.cmd.Process.Signal(syscall.SIGTERM))
	<-k.ended
}
