package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const (
	root   = "../.."
	folder = root + "/docs/kubernetes"
)

// The fields of Kubernetes that the manifests use, and no others: one that is misspelled does not parse, nor does one in the wrong place.
// Who adds a field looks up in the reference of Kubernetes how it is spelled.
type (
	labels map[string]string

	metadata struct {
		Name   string
		Labels labels
	}
	selector struct {
		MatchLabels labels `yaml:"matchLabels"`
	}
	head struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
	}

	// workload is a Deployment or a StatefulSet.
	workload struct {
		head `yaml:",inline"`
		Spec struct {
			Replicas        *int
			ServiceName     string `yaml:"serviceName"`
			MinReadySeconds int    `yaml:"minReadySeconds"`
			Strategy        struct {
				Type          string
				RollingUpdate struct {
					MaxSurge       string `yaml:"maxSurge"`
					MaxUnavailable string `yaml:"maxUnavailable"`
				} `yaml:"rollingUpdate"`
			}
			Selector selector
			Template struct {
				Metadata struct{ Labels labels }
				Spec     pod
			}
			VolumeClaimTemplates []struct {
				Metadata struct{ Name string }
				Spec     struct {
					AccessModes []string `yaml:"accessModes"`
					Resources   resources
				}
			} `yaml:"volumeClaimTemplates"`
		}
	}
	pod struct {
		ServiceAccountName            string          `yaml:"serviceAccountName"`
		AutomountServiceAccountToken  *bool           `yaml:"automountServiceAccountToken"`
		TerminationGracePeriodSeconds int             `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               securityContext `yaml:"securityContext"`
		TopologySpreadConstraints     []struct {
			MaxSkew           int      `yaml:"maxSkew"`
			TopologyKey       string   `yaml:"topologyKey"`
			WhenUnsatisfiable string   `yaml:"whenUnsatisfiable"`
			LabelSelector     selector `yaml:"labelSelector"`
			MatchLabelKeys    []string `yaml:"matchLabelKeys"`
		} `yaml:"topologySpreadConstraints"`
		Containers []container
		Volumes    []struct {
			Name     string
			EmptyDir *struct {
				SizeLimit string `yaml:"sizeLimit"`
			} `yaml:"emptyDir"`
		}
	}
	container struct {
		Name, Image string
		Args        []string
		Ports       []port
		Env         []variable
		Resources   resources
		Readiness   *probe `yaml:"readinessProbe"`
		Liveness    *probe `yaml:"livenessProbe"`
		Lifecycle   *struct {
			PreStop struct {
				Sleep struct{ Seconds int }
			} `yaml:"preStop"`
		}
		SecurityContext securityContext `yaml:"securityContext"`
		VolumeMounts    []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	port struct {
		Name          string
		Port          int
		ContainerPort int `yaml:"containerPort"`
	}
	variable struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	resources struct {
		Requests, Limits map[string]string
	}
	probe struct {
		HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
		Exec    struct{ Command []string }
		Period  int `yaml:"periodSeconds"`
		Timeout int `yaml:"timeoutSeconds"`
		Failure int `yaml:"failureThreshold"`
	}
	securityContext struct {
		RunAsNonRoot             bool                  `yaml:"runAsNonRoot"`
		RunAsUser                int                   `yaml:"runAsUser"`
		RunAsGroup               int                   `yaml:"runAsGroup"`
		FSGroup                  int                   `yaml:"fsGroup"`
		SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
		AllowPrivilegeEscalation *bool                 `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool                  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	}

	account struct {
		head                         `yaml:",inline"`
		AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	}
	service struct {
		head `yaml:",inline"`
		Spec struct {
			Selector labels
			Ports    []port
		}
	}
	budget struct {
		head `yaml:",inline"`
		Spec struct {
			MaxUnavailable int `yaml:"maxUnavailable"`
			Selector       selector
		}
	}
	monitor struct {
		head `yaml:",inline"`
		Spec struct {
			Selector  selector
			Endpoints []struct{ Port, Path, Interval string } `yaml:"podMetricsEndpoints"`
		}
	}

	autoscaler struct {
		head `yaml:",inline"`
		Spec struct {
			Target struct {
				APIVersion string `yaml:"apiVersion"`
				Kind, Name string
			} `yaml:"scaleTargetRef"`
			MinReplicas int `yaml:"minReplicas"`
			MaxReplicas int `yaml:"maxReplicas"`
			Metrics     []struct {
				Type           string
				Pods, External scaledMetric
			}
			Behavior struct {
				Up   behavior `yaml:"scaleUp"`
				Down behavior `yaml:"scaleDown"`
			}
		}
	}
	scaledMetric struct {
		Metric struct {
			Name     string
			Selector selector
		}
		Target struct {
			Type         string
			AverageValue string `yaml:"averageValue"`
		}
	}
	behavior struct {
		Window   int    `yaml:"stabilizationWindowSeconds"`
		Select   string `yaml:"selectPolicy"`
		Policies []struct {
			Type   string
			Value  int
			Period int `yaml:"periodSeconds"`
		}
	}

	kustomization struct {
		head            `yaml:",inline"`
		Resources       []string
		SecretGenerator []struct {
			Name     string
			Literals []string
		} `yaml:"secretGenerator"`
		Replicas []struct {
			Name  string
			Count int
		}
	}
	// adapter are the values of the Helm chart of prometheus-adapter.
	adapter struct {
		Rules struct{ Custom, External []rule }
	}
	rule struct {
		SeriesQuery string `yaml:"seriesQuery"`
		Resources   struct {
			Overrides map[string]struct{ Resource string }
		}
		MetricsQuery string `yaml:"metricsQuery"`
	}
)

// parse decodes the documents of a file strictly: into the first one of a type, one after the other.
func parse(t *testing.T, file string, into ...any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, file))
	require.NoError(t, err)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	for _, x := range into {
		require.NoError(t, decoder.Decode(x), file)
	}
	require.ErrorIs(t, decoder.Decode(new(any)), io.EOF, "%s has more documents", file)
}

// manifests is all there is.
type manifests struct {
	account           account
	chat, redis       workload
	redisService      service
	budget            budget
	autoscaler        autoscaler
	monitor           monitor
	adapter           adapter
	base, scaled, try kustomization
}

func load(t *testing.T) *manifests {
	t.Helper()
	m := new(manifests)
	files := map[string][]any{
		"base/kustomization.yaml":    {&m.base},
		"base/serviceaccount.yaml":   {&m.account},
		"base/deployment.yaml":       {&m.chat},
		"base/disruptionbudget.yaml": {&m.budget},
		"scaled/kustomization.yaml":  {&m.scaled},
		"scaled/autoscaler.yaml":     {&m.autoscaler},
		"scaled/podmonitor.yaml":     {&m.monitor},
		"scaled/adapter-values.yaml": {&m.adapter},
		"try/kustomization.yaml":     {&m.try},
		"try/redis.yaml":             {&m.redisService, &m.redis},
	}
	there, err := filepath.Glob(filepath.Join(folder, "*", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, there, len(files), "each manifest is parsed")
	for file, into := range files {
		parse(t, file, into...)
	}
	require.Len(t, m.chat.Spec.Template.Spec.Containers, 1)
	require.Len(t, m.redis.Spec.Template.Spec.Containers, 1)
	return m
}

// container is the one with the program.
func (m *manifests) container() container { return m.chat.Spec.Template.Spec.Containers[0] }

// variable returns an environment variable of the program.
func (m *manifests) variable(t *testing.T, name string) variable {
	t.Helper()
	for _, v := range m.container().Env {
		if v.Name == name {
			return v
		}
	}
	require.Fail(t, "no such variable", name)
	return variable{}
}

// mebibytes of 384Mi and of 345MiB.
func mebibytes(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSuffix(s, "B"), "Mi"))
	require.NoError(t, err)
	return n
}

// A strict parser refuses what Kubernetes would ignore or take for something else.
func TestStrictParserRefuses(t *testing.T) {
	for _, text := range []string{
		"spec: {minReadySecond: 5}", "spec: {minReadySeconds: 5, minReadySeconds: 6}", "minReadySeconds: 5", "spec: {minReadySeconds: x}",
	} {
		decoder := yaml.NewDecoder(strings.NewReader(text))
		decoder.KnownFields(true)
		err := decoder.Decode(new(workload))
		require.Error(t, err, text)
		require.False(t, errors.Is(err, io.EOF))
	}
}
