package track

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
)

// page is a small document for people: complete, with nothing from elsewhere.
type page struct{ html []byte }

const style = `body{margin:0;background:#f6f7f9;color:#1c2330;font:1.125rem/1.6 system-ui,sans-serif}` +
	`main{max-width:34rem;margin:12vh auto;padding:2rem;background:#fff;border:1px solid #d9dee7;border-radius:.5rem}` +
	`h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.3}p{margin:0 0 1rem}` +
	`button{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:.375rem;background:#14508c;color:#fff;cursor:pointer}` +
	`button:focus-visible{outline:3px solid #f0a030;outline-offset:2px}` +
	`@media(prefers-color-scheme:dark){body{background:#14181f;color:#e8ebf0}main{background:#1d232d;border-color:#39424f}button{background:#8cc2f5;color:#10151c}}`

// policy allows the style of the page, its own button, and nothing else.
var policy = func() []string {
	sum := sha256.Sum256([]byte(style))
	return []string{"default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
}()

func newPage(title, body string) page {
	return page{[]byte(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>` + title + `</title>
<style>` + style + `</style>
</head>
<body>
<main>
<h1>` + title + `</h1>
` + body + `
</main>
</body>
</html>
`)}
}

// The pages.
var (
	askPage = newPage("Unsubscribe from these messages?",
		`<p>The sender of this message will not write to your address any more.</p>
<form method="post">
<input type="hidden" name="`+formField+`" value="`+formValue+`">
<button type="submit">Unsubscribe</button>
</form>`)
	donePage = newPage("You are unsubscribed",
		`<p>The sender will not write to your address any more. A message that is on its way already may still arrive.</p>`)
	laterPage = newPage("Please try again in a moment",
		`<p>Your wish could not be stored just now, so nothing has changed yet. Go back and press the button again.</p>`)
	formPage = newPage("Nothing has changed",
		`<p>This request does not say that you want to unsubscribe. Open the link in your browser and press the button.</p>
<p>Programs: send <code>`+formField+`=`+formValue+`</code> as a form (RFC 8058).</p>`)
	largePage = newPage("Nothing has changed",
		`<p>This request is too large. Open the link in your browser and press the button.</p>`)
	gonePage = newPage("This message is no longer known",
		`<p>The message is older than what is kept here, so its link does nothing any more. Use the link of a newer message, or answer to the sender.</p>`)
	linkPage = newPage("This link does not work",
		`<p>It was cut short or changed on its way to you, or it comes from another service. Nothing was opened and nothing has changed.</p>
<p>Go back to the message and follow the link there. If you copied it, copy all of it.</p>`)
	methodPage = newPage("This cannot be done here",
		`<p>Open the link in a browser.</p>`)
)

func show(w http.ResponseWriter, r *http.Request, status int, p page) {
	h := w.Header()
	h["Content-Type"] = []string{"text/html; charset=utf-8"}
	h["Content-Security-Policy"] = policy
	h["Content-Length"] = []string{strconv.Itoa(len(p.html))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.html)
	}
}

// refuse answers a token that is none of ours.
func (t *Tracker) refuse(w http.ResponseWriter, r *http.Request) {
	t.refused.Add(1)
	show(w, r, http.StatusNotFound, linkPage)
}

func (t *Tracker) refuseMethod(w http.ResponseWriter, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	show(w, r, http.StatusMethodNotAllowed, methodPage)
}
