package api

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestRouterAndDocumentAgree holds the patterns that the router was given
// against the paths of the document, in both directions.
func TestRouterAndDocumentAgree(t *testing.T) {
	a := New(Config{PublicURL: "https://mail.example"})
	documented := map[string]bool{}
	for path, item := range a.huma.OpenAPI().Paths {
		for _, op := range operationsOf(item) {
			documented[op.Method+" "+path] = true
		}
	}
	routed := map[string]bool{}
	for _, pattern := range a.router.patterns {
		if _, path, _ := strings.Cut(pattern, " "); !strings.HasPrefix(path, base+"/openapi") {
			routed[pattern] = true
		}
	}
	for name := range documented {
		if !routed[name] {
			t.Errorf("%s is documented, and not routed", name)
		}
	}
	for name := range routed {
		if !documented[name] {
			t.Errorf("%s is routed, and not documented", name)
		}
	}
	if len(routed) < 60 {
		t.Errorf("only %d routes", len(routed))
	}
}

// TestDocumentIsWhole: every operation has what a reader needs, and what may
// go wrong.
func TestDocumentIsWhole(t *testing.T) {
	a := New(Config{PublicURL: "https://mail.example"})
	doc := a.huma.OpenAPI()
	ids := map[string]string{}
	for path, item := range doc.Paths {
		for _, op := range operationsOf(item) {
			name := op.Method + " " + path
			if len(op.Summary) < 5 || strings.HasSuffix(op.Summary, ".") {
				t.Errorf("%s: summary %q", name, op.Summary)
			}
			if other := ids[op.OperationID]; other != "" {
				t.Errorf("%s and %s have one operation id", name, other)
			}
			ids[op.OperationID] = name
			if len(op.Security) != 1 || len(op.Security[0]) != 1 {
				t.Errorf("%s: security %v", name, op.Security)
			}
			for scheme, scopes := range op.Security[0] {
				if doc.Components.SecuritySchemes[scheme] == nil || len(scopes) != 1 {
					t.Errorf("%s: scheme %s with scopes %v", name, scheme, scopes)
				}
			}
			if len(op.Tags) != 1 || op.Tags[0] == "Other" {
				t.Errorf("%s has no chapter: add its path to tags", name)
			}
			if op.RequestBody != nil && op.RequestBody.Content["application/octet-stream"] != nil {
				t.Errorf("%s: the document says that any bytes are a body", name)
			}
			success := 0
			for status, r := range op.Responses {
				if status < "300" {
					success++
				}
				for kind, m := range r.Content {
					if m.Schema == nil {
						t.Errorf("%s: %s %s has no schema", name, status, kind)
					}
				}
			}
			for _, want := range []string{"401", "403", "422", "429", "500", "503"} {
				if op.Responses[want] == nil || len(op.Responses[want].Content) == 0 {
					t.Errorf("%s does not say that it may answer %s", name, want)
				}
			}
			if success == 0 {
				t.Errorf("%s has no success: %v", name, slices.Sorted(maps.Keys(op.Responses)))
			}
			if (op.Method == http.MethodPost || op.Method == http.MethodPut) && op.RequestBody != nil && op.Responses["413"] == nil {
				t.Errorf("%s takes a body and does not say that it may be too large", name)
			}
		}
	}
}

// TestReference: the page shows every operation and object, calls this very
// host, and loads nothing from anywhere.
func TestReference(t *testing.T) {
	a := New(Config{PublicURL: "https://mail.example", Version: "1<2"})
	rec := httptest.NewRecorder()
	a.Reference().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, ReferencePath, nil))
	page := rec.Body.String()
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	policy := rec.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	for _, no := range []string{"<script", " src=", "<link", "<img", "@import", "url(", " style=", "ZgotmplZ", "1<2"} {
		if strings.Contains(page, no) {
			t.Errorf("the page has %s", no)
		}
	}
	for path, item := range a.huma.OpenAPI().Paths {
		for _, op := range operationsOf(item) {
			if !strings.Contains(page, `<article id="`+op.OperationID+`">`) || !strings.Contains(page, "<b>"+op.Method+"</b> <code>"+path+"</code>") {
				t.Errorf("the page lacks %s %s", op.Method, path)
			}
		}
	}
	for _, name := range []string{"SubAccount", "SubAccountV1", "IPPool", "Event", "EventV1", "EmailMessage"} {
		if !strings.Contains(page, `id="schema-`+name+`"`) {
			t.Errorf("the page lacks the object %s", name)
		}
	}
	if !strings.Contains(page, "curl -X GET &#39;https://mail.example/api/v1/account/subaccount&#39;") {
		t.Error("no call of this host in the page")
	}
	for _, s := range scopeWords {
		if !strings.Contains(page, "<code>"+s.Name+"</code>") {
			t.Errorf("the page does not tell of the scope %s", s.Name)
		}
	}
}
