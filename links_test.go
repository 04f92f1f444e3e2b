package waypost_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	fence    = regexp.MustCompile("(?ms)^```.*?^```")
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	mdLink   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdTitle  = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *$`)
)

// TestLinks wants every link of a document to another file of the repository,
// and to a heading, to lead somewhere.
func TestLinks(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		prose := codeSpan.ReplaceAllString(fence.ReplaceAllString(string(text), ""), "")
		for _, link := range mdLink.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(link[1], "://") || strings.HasPrefix(link[1], "mailto:") {
				continue
			}
			checked++
			if fault := follow(path, link[1]); fault != "" {
				t.Errorf("%s: link to %s: %s", path, link[1], fault)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 10 {
		t.Errorf("%d links were found; the walk looks in the wrong place", checked)
	}
}

// follow says why a link from a document leads nowhere, "" when it does not.
func follow(from, link string) string {
	file, heading, hasHeading := strings.Cut(link, "#")
	target := from
	if file != "" {
		target = filepath.Join(filepath.Dir(from), filepath.FromSlash(file))
	}
	if !filepath.IsLocal(target) {
		return "outside of the repository"
	}
	if _, err := os.Stat(target); err != nil {
		return "no such file"
	}
	if !hasHeading || filepath.Ext(target) != ".md" {
		return ""
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return err.Error()
	}
	for _, title := range mdTitle.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
		if anchor(title[1]) == heading {
			return ""
		}
	}
	return "no such heading"
}

// anchor is the name that renderers of Markdown give a heading.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

// TestLinksAreFollowed holds the check itself against links that lead nowhere.
func TestLinksAreFollowed(t *testing.T) {
	for link, want := range map[string]string{
		"doc/architecture.md": "", "doc/architecture.md#floors": "", "doc/nowhere.md": "no such file",
		"doc/architecture.md#nowhere": "no such heading", "../elsewhere.md": "outside of the repository", "#two-commands": "",
	} {
		if got := follow("README.md", link); got != want {
			t.Errorf("%s: %q, want %q", link, got, want)
		}
	}
}

var decision = regexp.MustCompile(`\bD-[1-9][0-9]?\b`)

// TestDecisionsAreListed wants every D-number of a comment in the table of
// doc/architecture.md.
func TestDecisionsAreListed(t *testing.T) {
	text, err := os.ReadFile("doc/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, d := range decision.FindAllString(string(text), -1) {
		listed[d] = true
	}
	eachFile(t, func(_, file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range decision.FindAllString(string(text), -1) {
			if !listed[d] {
				t.Errorf("%s: %s is not in the table of doc/architecture.md", file, d)
			}
		}
	})
}
