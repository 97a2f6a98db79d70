package readme

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// target matches what is linked to: [text](target), [text]: target, and the attributes of HTML.
var target = regexp.MustCompile(`\]\(([^)\s]+)\)|(?m:^\[[^\]\n]+\]:\s+(\S+))|\b(?:href|src)="([^"]+)"`)

// home is where GitHub shows the files of this repository.
const home = "https://github.com/streamlease/streamlease/blob/main/"

// linkers are the files whose links are checked: the documents, and what else is written in Markdown.
func linkers(t *testing.T) []string {
	return append(append(documents(t), "CHANGELOG.md"), below(t, "engine")...)
}

// anchors returns the anchors of the headings of a page, as GitHub names them.
func anchors(text string) map[string]bool {
	_, rest := fences("", text)
	found := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.*?) *$`).FindAllStringSubmatch(rest, -1) {
		heading := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		name := regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(heading), "")
		name = strings.ReplaceAll(name, " ", "-")
		unique := name
		for n := 1; found[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		found[unique] = true
	}
	return found
}

// anchorsOf has the anchors of the files that links led to.
var anchorsOf = make(map[string]map[string]bool)

// resolve checks a link of a file: within the repository it leads to a file or folder, and to a heading if it names one.
func resolve(from, link string) error {
	if rest, ours := strings.CutPrefix(link, home); ours {
		from, link = "README.md", rest
	}
	if regexp.MustCompile(`^[a-z]+:`).MatchString(link) {
		return nil // outside
	}
	file, anchor, anchored := strings.Cut(link, "#")
	if file = path.Join(path.Dir(from), file); strings.HasPrefix(link, "#") {
		file = from
	}
	if strings.HasPrefix(file, "../") || strings.HasPrefix(link, "/") {
		return errors.New("it leads out of the repository")
	}
	if _, err := os.Stat(filepath.Join(root, file)); err != nil {
		return err
	}
	if !anchored {
		return nil
	}
	if anchorsOf[file] == nil {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return err
		}
		anchorsOf[file] = anchors(string(text))
	}
	if !anchorsOf[file][anchor] {
		return fmt.Errorf("%s has no heading #%s", file, anchor)
	}
	return nil
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	links := 0
	for _, file := range linkers(t) {
		_, text := fences(file, read(t, file)) // t[int](x) is no link
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			links++
			if link := m[1] + m[2] + m[3]; resolve(file, link) != nil {
				t.Errorf("%s links to %s: %v", file, link, resolve(file, link))
			}
		}
	}
	require.Greater(t, links, 200)

	require.NoError(t, resolve("docs/cli.md", "../README.md#a-first-program"))
	require.NoError(t, resolve("docs/cli.md", "kubernetes"))
	for _, wrong := range []string{"README2.md", "#nowhere", "../README.md#nowhere", "../../x.md", "/docs/cli.md", home + "docs/x.md"} {
		require.Error(t, resolve("docs/cli.md", wrong), wrong)
	}
}

func TestAnchors(t *testing.T) {
	text := "# A `b`: c, d\n```sh\n# no heading\n```\n## [X](y.md) & Z\n## x\n## x\n"
	require.Equal(t, map[string]bool{"a-b-c-d": true, "x--z": true, "x": true, "x-1": true}, anchors(text))
}

// index lists the pages by what somebody wants to do.
const index = "docs/README.md"

func TestEveryPageIsInTheIndex(t *testing.T) {
	leadsTo := func(from string) map[string]bool {
		_, text := fences(from, read(t, from))
		pages := make(map[string]bool)
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			file, _, _ := strings.Cut(m[1]+m[2]+m[3], "#")
			pages[path.Join(path.Dir(from), file)] = true
		}
		return pages
	}
	listed := leadsTo(index)
	for _, page := range below(t, "docs") {
		if page != index {
			require.Contains(t, listed, page, "%s has no link to it", index)
		}
	}
	for _, page := range []string{index, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"} {
		require.Contains(t, leadsTo("README.md"), page, "README.md has no link to it")
	}
}
