package readme

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Whether a cluster would do what is typed, no test can see. It sees whether the files, the resources and the image are those that the
// manifests have.

// manifests returns all manifests, one after the other.
func manifests() (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "docs", "kubernetes", "*", "*.yaml"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(err, errors.New("no manifests"))
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	return all.String(), nil
}

// inManifests reports, as an error, that the manifests have nothing that matches.
func inManifests(pattern string) error {
	text, err := manifests()
	if err == nil && !regexp.MustCompile(pattern).MatchString(text) {
		err = fmt.Errorf("no manifest has %s", pattern)
	}
	return err
}

// resource checks that the manifests have deployment/chat.
func resource(name string) error {
	kind, name, named := strings.Cut(name, "/")
	if !named {
		return fmt.Errorf("%s is no resource", kind)
	}
	return inManifests(`(?mi)^kind: ` + regexp.QuoteMeta(kind) + `\nmetadata:\n  name: ` + regexp.QuoteMeta(name) + `$`)
}

// kubectl knows the forms that the documents use. What is run in a container is tried on the server of the reader.
func (r *reader) kubectl(c command) error {
	args := c.words[1:]
	is := func(words ...string) bool {
		return len(args) >= len(words) && slices.Equal(args[:len(words)], words)
	}
	switch {
	case is("apply", "-n") && len(args) == 2 && c.inline:
		return nil // an option
	case is("create", "job") && len(args) == 3 && strings.HasPrefix(args[2], "--from=cronjob/") && c.inline:
		return nil // how it was before schedules
	case is("apply", "-k") && len(args) == 3, is("delete", "-k") && len(args) == 3:
		_, err := os.Stat(filepath.Join(root, args[2], "kustomization.yaml"))
		return err
	case is("rollout", "status") && len(args) == 3, is("rollout", "restart") && len(args) == 3:
		return resource(args[2])
	case is("logs", "-l") && len(args) == 4 && args[3] == "--prefix":
		label, value, _ := strings.Cut(args[2], "=")
		return inManifests(regexp.QuoteMeta(label + ": " + value + "}"))
	case is("exec") && len(args) > 4 && slices.Equal(args[2:4], []string{"--", "redis-cli"}):
		return errors.Join(resource(args[1]), r.cli(command{words: args[3:]}))
	case is("create", "secret", "generic") && len(args) == 5:
		key, found := strings.CutPrefix(args[4], "--from-file=")
		if !found {
			return errors.New("no file")
		}
		return inManifests(`secretKeyRef: {name: ` + regexp.QuoteMeta(args[3]) + `, key: ` + regexp.QuoteMeta(key) + `}`)
	case is("get", "--raw") && len(args) == 3 && regexp.MustCompile(`^/apis/(custom|external)\.metrics\.k8s\.io/v1beta1/namespaces/`).MatchString(args[2]):
		return inManifests(`(?m)^ +name: ` + regexp.QuoteMeta(args[2][strings.LastIndex(args[2], "/")+1:]) + `$`)
	}
	return errors.New("no rule for this form of kubectl")
}

// docker builds the image that the manifests run, in the root of the repository.
func (r *reader) docker(c command) error {
	args := c.words[1:]
	if len(args) != 6 || args[0] != "build" || args[1] != "-f" || args[3] != "-t" || args[5] != "." {
		return errors.New("no rule for this form of docker")
	}
	_, err := os.Stat(filepath.Join(root, args[2]))
	return errors.Join(err, image(args[4]))
}

func image(name string) error { return inManifests(`(?m)^ +image: ` + regexp.QuoteMeta(name) + `$`) }

func (r *reader) kind(c command) error {
	switch args := c.words[1:]; {
	case slices.Equal(args, []string{"create", "cluster"}):
		return nil
	case len(args) == 3 && args[0] == "load" && args[1] == "docker-image":
		return image(args[2])
	}
	return errors.New("no rule for this form of kind")
}

func (r *reader) helm(c command) error {
	args := c.words[1:]
	if len(args) != 6 || args[0] != "upgrade" || args[1] != "--install" || args[4] != "-f" {
		return errors.New("no rule for this form of helm")
	}
	_, err := os.Stat(filepath.Join(root, args[5]))
	return err
}
