package dash_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

var screensDir = flag.String("screens", "", "directory to write screenshots of the main screens to, such as ../../doc/screens")

// shot writes what the tab shows, the whole page up to a bound.
func (b *tab) shot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("screenshot %s: %v", name, err)
	}
	if png, err = shrink(png); err != nil {
		b.t.Fatalf("screenshot %s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(*screensDir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// view is a screen in a scene.
type view struct{ name, path string }

func views(c *seed.Scene) []view {
	return []view{
		{"overview", "/"},
		{"messages", "/messages"},
		{"message", "/messages/" + c.Messages["story"].String()},
		{"events", "/events"},
		{"providers", "/providers"},
		{"provider", "/providers/" + id(c.Providers[0].ID)},
		{"provider-form", "/providers/new"},
		{"statistics", "/statistics"},
		{"statistics-provider", "/statistics?by=provider"},
		{"domains", "/domains"},
		{"domain", "/domains/" + id(c.Domains[0].ID)},
		{"pool", "/pools/4"},
		{"pool-form", "/pools/4/edit"},
		{"suppressions", "/suppressions"},
		{"template", "/templates/1"},
		{"webhook", "/webhooks/1"},
		{"keys", "/keys"},
		{"health", "/health"},
		{"settings", "/settings"},
	}
}

// TestScreens writes screenshots when it is asked to.
func TestScreens(t *testing.T) {
	if *screensDir == "" {
		t.Skip("run with -screens DIR to write screenshots")
	}
	for name, make := range map[string]scene{"busy": busy, "trouble": seed.Trouble, "empty": seed.Empty} {
		h := open(t, make)
		b := newTab(t, h)
		b.login(seed.Email)
		list := []view{{"overview", "/"}, {"start", "/start"}, {"events", "/events"}, {"queue", "/queue"}}
		switch name {
		case "busy":
			list = views(h.scene)
		case "trouble":
			list = append(list, view{"provider", "/providers/" + id(h.scene.Providers[0].ID)}, view{"statistics", "/statistics"}, view{"health", "/health"}, view{"message", "/messages/" + h.scene.Messages["waiting"].String()}, view{"people", "/people"})
		}
		for _, v := range list {
			for _, dark := range []bool{false, true} {
				for _, wide := range []bool{true, false} {
					width, height, words := int64(1280), int64(900), "-desktop"
					if !wide {
						width, height, words = 390, 844, "-phone"
					}
					if dark {
						words += "-dark"
					}
					b.look(width, height, dark)
					b.open(v.path)
					if v.name == "health" { // the first look runs beside the page
						b.until("what the look found", `document.querySelector("#checks table")`)
					}
					b.shot(strings.Join([]string{name, v.name}, "-") + words)
				}
			}
		}
	}
}
