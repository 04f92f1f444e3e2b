package dash_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

// patience bounds one step of a browser. It is generous: no test may fail for
// a slow machine alone.
const patience = 90 * time.Second

// one browser serves all tests of the process, each in a context of its own.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop []func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, stop := range chromium.stop {
		stop()
	}
	os.Exit(code)
}

// tab is a browser tab with cookies of its own. What the page writes to its
// console as an error, and every breach of the content security policy, fails
// the test.
type tab struct {
	t   *testing.T
	h   *house
	ctx context.Context

	inMail bool // the page holds a mail, whose frame breaks its policy and reports it
}

func newTab(t *testing.T, h *house) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium on this machine; test/packages.sh installs it")
	}
	chromium.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:len(chromedp.DefaultExecAllocatorOptions):len(chromedp.DefaultExecAllocatorOptions)],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1280, 900))
		allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, end := chromedp.NewContext(allocator)
		chromium.stop = []func(){end, stop}
		chromium.err = chromedp.Do(ctx) // without a deadline: it would end the browser
		chromium.ctx = ctx              //nolint:fatcontext // set once
	})
	if chromium.err != nil {
		t.Fatalf("start chromium: %v", chromium.err)
	}
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t: t, h: h, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	b.watch()
	return b
}

// watch fails the test for errors that the page reports.
func (b *tab) watch() {
	err := chromedp.Listen(b.ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.t.Errorf("the page threw: %+v", e.ExceptionDetails)
		case *log.EventEntryAdded:
			if strings.Contains(e.Entry.Text, "Content Security Policy") && !b.inMail {
				b.t.Errorf("the policy was broken: %s", e.Entry.Text)
			}
		}
	})
	if err != nil {
		b.t.Fatalf("listen to the tab: %v", err)
	}
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v\n%s", what, err, b.dump())
	}
}

func (b *tab) dump() string {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + (document.querySelector("main")||document.body).innerText.slice(0, 1500)`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (b *tab) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.h.url+path))
}

// js evaluates an expression in the page; a promise is awaited.
func js[T any](b *tab, expression string) T {
	b.t.Helper()
	out, err := try[T](b, expression)
	if err != nil {
		b.t.Fatalf("evaluate %.80s: %v\n%s", expression, err, b.dump())
	}
	return out
}

// try is js for a page that may be about to go.
func try[T any](b *tab, expression string) (out T, err error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[json.RawMessage](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(v, &out)
}

// text is what a person reads in an element of the page.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return js[string](b, `(document.querySelector(`+quote(selector)+`)||{innerText:""}).innerText`)
}

func quote(s string) string {
	j, _ := json.Marshal(s) // a string always encodes
	return string(j)
}

// sees waits until the page says something.
func (b *tab) sees(words string) {
	b.t.Helper()
	b.until("see "+words, `document.body && document.body.innerText.includes(`+quote(words)+`)`)
}

// until waits for a condition in the page. One that goes while it is asked has
// no answer yet.
func (b *tab) until(what, condition string) {
	b.t.Helper()
	end := time.Now().Add(patience)
	for {
		yes, err := try[bool](b, `Boolean(`+condition+`)`)
		if yes && err == nil {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("never: %s (%v)\n%s", what, err, b.dump())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// fill types into fields, given as selector and value in turn.
func (b *tab) fill(pairs ...string) {
	b.t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		js[string](b, `document.querySelector(`+quote(pairs[i])+`).value = ""`)
		b.do("fill "+pairs[i], chromedp.SendKeys(chromedp.CSS(pairs[i]), pairs[i+1]))
	}
}

// press clicks what leads to another page, and waits for it.
func (b *tab) press(selector string) {
	b.t.Helper()
	js[bool](b, `window.__old = true`)
	b.do("press "+selector, chromedp.Click(chromedp.CSS(selector)))
	b.until("a new page after "+selector, `!window.__old && document.readyState === "complete"`)
}

// login fills the form of the login.
func (b *tab) login(email string) {
	b.t.Helper()
	b.open("/login")
	b.fill("#f-email", email, "#f-password", seed.Password)
	b.press("form button.primary")
}

// look sets the size of the window and the colours that the person prefers.
func (b *tab) look(width, height int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do("emulate", chromedp.EmulateViewport(width, height), func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return chromedp.Void{}, err
	})
}
