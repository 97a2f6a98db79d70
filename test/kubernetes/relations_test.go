package kubernetes

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/streamlease/streamlease/engine"
	"github.com/streamlease/streamlease/engine/balance"
)

// tolerance is how far an average may be above its target before the autoscaler adds a pod: the default of Kubernetes.
const tolerance = 1.1

func TestGracePeriodIsLongerThanTheDrain(t *testing.T) {
	m := load(t)
	drain, err := time.ParseDuration(m.variable(t, "DRAIN_TIMEOUT").Value)
	require.NoError(t, err)
	require.Equal(t, engine.DefaultDrainTimeout, drain, "as the page has it")
	var preStop time.Duration
	if l := m.container().Lifecycle; l != nil {
		preStop = time.Duration(l.PreStop.Sleep.Seconds) * time.Second
	}
	const after = 5 * time.Second // what the program does after Run, generously
	grace := time.Duration(m.chat.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	require.GreaterOrEqual(t, grace, preStop+drain+after)
}

// New pods come first, and one that is ready has had the seconds in which a process takes little.
func TestDeploysStartNewPodsFirst(t *testing.T) {
	m := load(t)
	require.Equal(t, "RollingUpdate", m.chat.Spec.Strategy.Type)
	require.Equal(t, "0", m.chat.Spec.Strategy.RollingUpdate.MaxUnavailable)
	require.NotContains(t, []string{"", "0", "0%"}, m.chat.Spec.Strategy.RollingUpdate.MaxSurge)
	require.GreaterOrEqual(t, time.Duration(m.chat.Spec.MinReadySeconds)*time.Second, balance.Starting)
	require.Nil(t, m.chat.Spec.Replicas, "the autoscaler's, or an overlay's")
}

// Everything that selects pods selects those of the deployment, and nothing else there is.
func TestSelectorsMeanTheDeployment(t *testing.T) {
	m := load(t)
	pods := m.chat.Spec.Template.Metadata.Labels
	require.NotEmpty(t, pods)
	for name, s := range map[string]selector{
		"deployment": m.chat.Spec.Selector, "budget": m.budget.Spec.Selector, "monitor": m.monitor.Spec.Selector,
	} {
		require.Equal(t, pods, s.MatchLabels, name)
	}
	spread := m.chat.Spec.Template.Spec.TopologySpreadConstraints
	require.Len(t, spread, 2)
	for _, s := range spread {
		require.Equal(t, pods, s.LabelSelector.MatchLabels, s.TopologyKey)
	}
	target := m.autoscaler.Spec.Target
	require.Equal(t, []string{m.chat.APIVersion, m.chat.Kind, m.chat.Metadata.Name}, []string{target.APIVersion, target.Kind, target.Name})
	require.Equal(t, 1, m.budget.Spec.MaxUnavailable)

	redis := m.redis.Spec.Template.Metadata.Labels
	require.NotEqual(t, pods, redis)
	require.Equal(t, redis, m.redis.Spec.Selector.MatchLabels)
	require.Equal(t, redis, m.redisService.Spec.Selector)
}

func TestPodIsNamedAfterItself(t *testing.T) {
	require.Equal(t, "metadata.name", load(t).variable(t, "POD_NAME").ValueFrom.FieldRef.FieldPath)
}

// One pod may fail when all are as full as they become before another one is added, and a step is over before the next.
func TestAutoscalerLeavesRoomAndTime(t *testing.T) {
	m := load(t)
	most, err := strconv.Atoi(m.variable(t, "MAX_STREAMS").Value)
	require.NoError(t, err)
	s := m.autoscaler.Spec
	held, err := strconv.Atoi(s.Metrics[0].Pods.Target.AverageValue)
	require.NoError(t, err)
	require.Greater(t, s.MinReplicas, 1)
	require.Greater(t, s.MaxReplicas, s.MinReplicas)
	require.LessOrEqual(t, tolerance*float64(held*s.MinReplicas)/float64(s.MinReplicas-1), float64(most))

	const random = 6 * time.Second // of the quiet
	settled := balance.Quiet + random + time.Duration(float64(balance.Patience)*(1+balance.PatienceSpread))
	for _, b := range []behavior{s.Behavior.Up, s.Behavior.Down} {
		require.NotEmpty(t, b.Policies)
		for _, p := range b.Policies {
			require.GreaterOrEqual(t, time.Duration(p.Period)*time.Second, settled)
		}
	}
	require.Greater(t, s.Behavior.Down.Window, s.Behavior.Down.Policies[0].Period, "down more slowly than up")
}

// A metric that the autoscaler asks for is one of the library, and a rule of the adapter provides it.
func TestMetricsOfTheAutoscalerAreProvided(t *testing.T) {
	m := load(t)
	document, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	require.NoError(t, err)
	require.Len(t, m.autoscaler.Spec.Metrics, 2)
	for _, metric := range m.autoscaler.Spec.Metrics {
		asked, rules, labels := metric.Pods, m.adapter.Rules.Custom, []string{"namespace", "pod"}
		if metric.Type == "External" {
			asked, rules, labels = metric.External, m.adapter.Rules.External, []string{"namespace"}
		} else {
			require.Equal(t, "Pods", metric.Type)
		}
		name := asked.Metric.Name
		require.Contains(t, string(document), "\n- `"+name+"{partition}`", "a metric of the library, of each partition")
		require.Equal(t, "AverageValue", asked.Target.Type)
		require.Equal(t, labelsOf("service", "chat"), asked.Metric.Selector.MatchLabels)
		require.Len(t, rules, 1)
		require.Regexp(t, `^`+name+`\{`, rules[0].SeriesQuery)
		for _, label := range labels {
			require.Contains(t, rules[0].SeriesQuery, label+`!=""`)
			require.Equal(t, label, rules[0].Resources.Overrides[label].Resource)
		}
		require.Contains(t, rules[0].MetricsQuery, "<<.Series>>{<<.LabelMatchers>>}")
	}
	lasts := regexp.MustCompile(`\[(\w+):\w+\]`).FindStringSubmatch(m.adapter.Rules.External[0].MetricsQuery)
	require.NotNil(t, lasts)
	window, err := time.ParseDuration(lasts[1])
	require.NoError(t, err)
	require.Equal(t, time.Duration(m.autoscaler.Spec.Behavior.Up.Policies[0].Period)*time.Second, window, "as the page has it")
}

func labelsOf(name, value string) labels { return labels{name: value} }

// What a pod may not do, and the only thing that it may write.
func TestPodIsRestricted(t *testing.T) {
	m := load(t)
	require.False(t, *m.account.AutomountServiceAccountToken)
	require.Equal(t, m.account.Metadata.Name, m.chat.Spec.Template.Spec.ServiceAccountName)
	for _, w := range []workload{m.chat, m.redis} {
		pod := w.Spec.Template.Spec
		require.False(t, *pod.AutomountServiceAccountToken)
		require.True(t, pod.SecurityContext.RunAsNonRoot)
		require.Positive(t, pod.SecurityContext.RunAsUser)
		require.Equal(t, "RuntimeDefault", pod.SecurityContext.SeccompProfile.Type)
		c := pod.Containers[0]
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		require.True(t, c.SecurityContext.ReadOnlyRootFilesystem)
		require.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop)
		require.Empty(t, c.Resources.Limits["cpu"], "it would throttle")
		require.Equal(t, c.Resources.Requests["memory"], c.Resources.Limits["memory"])
		require.NotEmpty(t, c.Resources.Requests["cpu"])
	}
	pod := m.chat.Spec.Template.Spec
	require.Zero(t, pod.SecurityContext.FSGroup, "the lock file would be writable for others")
	require.Len(t, pod.Volumes, 1)
	require.NotNil(t, pod.Volumes[0].EmptyDir)
	require.Equal(t, pod.Volumes[0].Name, m.container().VolumeMounts[0].Name)
	require.Equal(t, filepath.Dir(m.variable(t, "LOCK_FILE").Value), m.container().VolumeMounts[0].MountPath)

	of := float64(mebibytes(t, m.variable(t, "GOMEMLIMIT").Value)) / float64(mebibytes(t, m.container().Resources.Limits["memory"]))
	require.InDelta(t, 0.9, of, 0.01)

	docker := dockerfile(t)
	require.Contains(t, docker, "\nUSER "+strconv.Itoa(pod.SecurityContext.RunAsUser)+":"+strconv.Itoa(pod.SecurityContext.RunAsGroup)+"\n")
	require.Contains(t, docker, "\nEXPOSE "+strconv.Itoa(m.container().Ports[0].ContainerPort)+"\n")
}

// The overlays use the base, have the files that they name, and the Secret and the Redis that the base expects.
func TestOverlaysHaveWhatTheBaseExpects(t *testing.T) {
	m := load(t)
	for name, k := range map[string]kustomization{"base": m.base, "scaled": m.scaled, "try": m.try} {
		require.NotEmpty(t, k.Resources)
		require.Equal(t, name != "base", k.Resources[0] == "../base", name)
		for _, resource := range k.Resources {
			_, err := os.Stat(filepath.Join(folder, name, resource))
			require.NoError(t, err, name)
		}
	}
	password := m.variable(t, "REDIS_PASSWORD").ValueFrom.SecretKeyRef
	require.Len(t, m.try.SecretGenerator, 1)
	require.Equal(t, password.Name, m.try.SecretGenerator[0].Name)
	require.True(t, strings.HasPrefix(m.try.SecretGenerator[0].Literals[0], password.Key+"="))
	for _, v := range m.redis.Spec.Template.Spec.Containers[0].Env {
		require.Equal(t, password, v.ValueFrom.SecretKeyRef, v.Name)
	}
	require.Equal(t, m.chat.Metadata.Name, m.try.Replicas[0].Name)
	require.Equal(t, m.redis.Spec.ServiceName, m.redisService.Metadata.Name)
	require.Equal(t, "redis://"+m.redisService.Metadata.Name+":"+strconv.Itoa(m.redisService.Spec.Ports[0].Port), m.variable(t, "REDIS_URL").Value)
}

func dockerfile(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "Dockerfile"))
	require.NoError(t, err)
	return string(text)
}
