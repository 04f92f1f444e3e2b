package dash

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed assets all:templates
var files embed.FS

// stamps gives each asset the first digits of its hash: part of its address,
// so that a browser may keep it for ever.
var stamps = func() map[string]string {
	out := map[string]string{}
	entries, err := files.ReadDir("assets")
	if err != nil {
		panic("BUG: embedded assets: " + err.Error())
	}
	for _, e := range entries {
		b, err := files.ReadFile("assets/" + e.Name())
		if err != nil {
			panic("BUG: embedded assets: " + err.Error())
		}
		sum := sha256.Sum256(b)
		out[e.Name()] = hex.EncodeToString(sum[:6])
	}
	return out
}()

// assetURL is the address of an asset in this build.
func assetURL(name string) string { return "/assets/" + name + "?v=" + stamps[name] }

var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	b, err := files.ReadFile("assets/" + name)
	if err != nil || strings.ContainsAny(name, `/\`) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", assetTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == stamps[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(b) // the caller may be gone
}

// parse reads the templates: the layout and the parts that pages share (files
// whose name begins with "_"), and with them each page by itself.
func (d *Dash) parse() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(d.funcs()).ParseFS(files, "templates/_*.html"))
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic("BUG: embedded templates: " + err.Error())
	}
	out := map[string]*template.Template{}
	for _, n := range names {
		base := path.Base(n)
		if strings.HasPrefix(base, "_") {
			continue
		}
		out[strings.TrimSuffix(base, ".html")] = template.Must(template.Must(shared.Clone()).ParseFS(files, n))
	}
	return out
}
