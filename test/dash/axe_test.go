package dash_test

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/test/seed"
)

// axe is axe-core by Deque Systems, under the Mozilla Public License 2.0; its
// licence lies beside it.
//
//go:embed testdata/axe.min.js
var axe string

// finding is a rule that a page breaks.
type finding struct {
	ID     string   `json:"id"`
	Impact string   `json:"impact"`
	Help   string   `json:"help"`
	Nodes  []string `json:"nodes"`
}

// examine runs axe-core on the page as it is shown.
func (b *tab) examine() []finding {
	b.t.Helper()
	js[bool](b, axe+`; true`)
	return js[[]finding](b, `axe.run(document, {iframes: false, resultTypes: ["violations"]}).then(r => r.violations.map(v => ({id: v.id, impact: v.impact || "", help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + (n.any[0] || n.all[0] || n.none[0] || {message: ""}).message)})))`)
}

// TestAccessible: no page has a serious finding, in light and in dark, at a
// desk and on a phone.
func TestAccessible(t *testing.T) {
	for name, make := range map[string]scene{"busy": busy, "trouble": seed.Trouble, "empty": seed.Empty} {
		t.Run(name, func(t *testing.T) {
			h := open(t, make)
			b := newTab(t, h)
			b.open("/login")
			b.accessible("/login")
			b.login(seed.Email)
			list := []string{"/", "/start", "/messages", "/events", "/events?code=x", "/queue", "/providers", "/providers/new", "/people", "/profile", "/nothing"}
			for _, path := range js[[]string](b, `[...document.querySelectorAll(".side nav li a")].map(a => a.pathname)`) {
				if !slices.Contains(list, path) {
					list = append(list, path) // every screen of the rail, those to come too
				}
			}
			if name != "empty" {
				list = append(list, "/providers/"+id(h.scene.Providers[0].ID), "/providers/"+id(h.scene.Providers[0].ID)+"/edit")
				for _, kind := range []string{"story", "waiting", "CSHardBounced"} {
					if m := h.scene.Messages[kind]; !m.IsZero() {
						list = append(list, "/messages/"+m.String())
					}
				}
			}
			for i, path := range list {
				width := int64(1280)
				if i%2 == 1 {
					width = 390
				}
				modes := []bool{false, true}
				if name != "busy" { // the same pages with other words: one mode each
					modes = []bool{i%4 > 1}
				}
				for _, dark := range modes {
					b.look(width, 900, dark)
					b.open(path)
					b.accessible(fmt.Sprintf("%s (dark %v, %d wide)", path, dark, width))
					if wide := js[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
						t.Errorf("%s scrolls sideways by %d pixels at a width of %d", path, wide, width)
					}
				}
			}
		})
	}
}

func (b *tab) accessible(where string) {
	b.t.Helper()
	for _, f := range b.examine() {
		if f.Impact == "serious" || f.Impact == "critical" {
			b.t.Errorf("%s: %s (%s): %s\n\t%s", where, f.ID, f.Impact, f.Help, strings.Join(f.Nodes, "\n\t"))
		} else {
			b.t.Logf("%s: %s (%s): %s\n\t%s", where, f.ID, f.Impact, f.Help, strings.Join(f.Nodes, "\n\t"))
		}
	}
}
