package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

type thing struct {
	OldName string `json:"old_name"`
}

type thingV1 struct {
	NewName string `json:"newName"`
}

// contractAPI has one operation in both contracts, open to everyone.
func contractAPI(sunset time.Time) *API {
	useErrorShape()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("t", "1")
	config.CreateHooks, config.DocsPath = nil, ""
	config.OpenAPIPath = base + "/openapi"
	a := &API{cfg: Config{Log: slog.New(slog.DiscardHandler), LegacySunset: sunset, PublicURL: "https://mail.example"}}
	a.huma = humago.New(mux, config)
	registerBoth(a, operation(http.MethodPost, "/things", "Make things", 1), nil, func(context.Context, *struct{}) ([]string, error) {
		return []string{"x", "y"}, nil
	}, views[[]string, []thing, []thingV1]{
		legacy: each(func(s string) thing { return thing{s} }),
		v1:     each(func(s string) thingV1 { return thingV1{s} }),
		v1Code: http.StatusCreated,
	})
	return a
}

func TestBothContractsOverHTTP(t *testing.T) {
	past, future := time.Now().Add(-time.Hour), time.Date(2126, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		asked   string
		sunset  time.Time
		status  int
		applied string
		body    string
	}{
		{"", time.Time{}, 200, "legacy", `[{"old_name":"x"},{"old_name":"y"}]`},
		{"v1", time.Time{}, 201, "v1", `[{"newName":"x"},{"newName":"y"}]`},
		{" V1", time.Time{}, 201, "v1", `[{"newName":"x"},{"newName":"y"}]`},
		{"", future, 200, "legacy", `[{"old_name":"x"},{"old_name":"y"}]`},
		{"", past, 201, "v1", `[{"newName":"x"},{"newName":"y"}]`},
		{"legacy", past, 200, "legacy", `[{"old_name":"x"},{"old_name":"y"}]`},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, base+"/things/", strings.NewReader(""))
		if c.asked != "" {
			r.Header.Set(contractHeader, c.asked)
		}
		rec := httptest.NewRecorder()
		contractAPI(c.sunset).ServeHTTP(rec, r)
		h := rec.Header()
		if got := strings.TrimSpace(rec.Body.String()); rec.Code != c.status || got != c.body || h.Get(contractHeader) != c.applied || h.Get("Content-Type") != "application/json" {
			t.Errorf("asked %q, sunset %v: %d %s %v", c.asked, c.sunset, rec.Code, got, h)
		}
		if deprecated := h.Get("Deprecation") == "true"; deprecated != (c.applied == "legacy" && !c.sunset.IsZero()) {
			t.Errorf("asked %q, sunset %v: Deprecation %v", c.asked, c.sunset, deprecated)
		}
		if c.sunset.Equal(future) && (h.Get("Sunset") != "Wed, 02 Jan 2126 03:04:05 GMT" || h.Get("Link") != `<https://mail.example/docs/api#contracts>; rel="deprecation"`) {
			t.Errorf("Sunset %q, Link %q", h.Get("Sunset"), h.Get("Link"))
		}
	}
}

// TestUnknownContract: a program that asks for a contract that is not spoken
// here is told so, in the fields of none.
func TestUnknownContract(t *testing.T) {
	for _, asked := range []string{"v2", "1", "v1,legacy"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, base+"/things", strings.NewReader(""))
		r.Header.Set(contractHeader, asked)
		rec := httptest.NewRecorder()
		contractAPI(time.Time{}).ServeHTTP(rec, r)
		if rec.Code != 422 || !strings.Contains(rec.Body.String(), `"param":"`+contractHeader+`"`) || rec.Header().Get("Content-Type") != "application/json" {
			t.Errorf("asked %q: %d %s", asked, rec.Code, rec.Body)
		}
	}
}

func TestDocumentShowsBothContracts(t *testing.T) {
	rec := httptest.NewRecorder()
	contractAPI(time.Time{}).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, base+"/openapi.json", nil))
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct {
						Items struct {
							Ref string `json:"$ref"`
						}
					}
				}
			}
			Parameters []struct{ Name string }
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	op := doc.Paths[base+"/things"]["post"]
	for status, name := range map[string]string{"200": "Thing", "201": "ThingV1"} {
		if ref := op.Responses[status].Content["application/json"].Schema.Items.Ref; ref != "#/components/schemas/"+name {
			t.Errorf("status %s: schema %q, want %s", status, ref, name)
		}
	}
	for _, status := range []string{"401", "403", "413", "422", "429", "500", "503"} {
		if _, ok := op.Responses[status]; !ok {
			t.Errorf("the document does not say that the operation may answer %s", status)
		}
	}
	if len(op.Parameters) != 1 || op.Parameters[0].Name != contractHeader {
		t.Errorf("parameters %v", op.Parameters)
	}
}
