package api

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/track"
	"github.com/waypost-mail/waypost/test/mmdb"
)

// TestVisitsInEvents: what an event tells of a visit, in both contracts, with
// the subject as the recipient read it.
func TestVisitsInEvents(t *testing.T) {
	file := filepath.Join(t.TempDir(), "geo.mmdb")
	mmdb.Write(t, file, map[netip.Prefix]mmdb.Record{netip.MustParsePrefix("81.2.69.0/24"): {
		"city": mmdb.Record{"geoname_id": uint32(2643743)}, "continent": mmdb.Record{"code": "EU"}, "country": mmdb.Record{"iso_code": "GB"},
		"postal": mmdb.Record{"code": "EC2V"}, "location": mmdb.Record{"time_zone": "Europe/London"},
	}})
	geo, err := track.OpenGeo(file)
	if err != nil {
		t.Fatal(err)
	}
	a := &API{cfg: Config{Geo: geo}}
	now := time.Now()
	e := waypost.Event{ID: 1, Type: waypost.CSClick, At: now, Visit: &waypost.Visit{
		URL: "https://example.com/", IP: "81.2.69.142",
		UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Mobile/15E148 Safari/604.1",
	}}
	m := waypost.Message{SubmittedAt: now, Variables: []byte(`{"name":"Ann"}`)}
	head := contentHead{subject: "Hello {{name}} from {{shop}}", variables: map[string]any{"shop": "us"}}
	found := a.found(&e, &m, &head)
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for got, wants := range map[string][]string{
		text(eventView(found)): {
			`"messageSubject":"Hello Ann from us"`, `"userAgent":{"Family":"Mobile Safari","Major":"17","Minor":"4","Patch":"1"}`,
			`"os":{"Family":"iOS","Major":"17","Minor":"4","Patch":"1"}`, `"device":{"Family":"iPhone","Brand":"Apple","Model":"iPhone"}`,
			`"geo":{"cityID":"2643743","continentCode":"EU","countryCode":"GB","postalCode":"EC2V","timeZone":"Europe/London"}`,
		},
		text(eventViewV1(found)): {
			`"subject":"Hello Ann from us"`, `"userAgent":{"family":"Mobile Safari","major":"17","minor":"4","patch":"1"}`,
			`"os":{"family":"iOS","major":"17","minor":"4","patch":"1"}`, `"device":{"family":"iPhone","brand":"Apple","model":"iPhone"}`,
			`"geo":{"cityId":2643743,"countryCode":"GB","continentCode":"EU","postalCode":"EC2V","timeZone":"Europe/London"}`,
		},
	} {
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s has no %s", got, want)
			}
		}
	}
	e.Visit.IP = "" // forgotten: track-ip is off
	if got := text(eventView(a.found(&e, &m, &head))); strings.Contains(got, `"geo"`) {
		t.Errorf("a place without an address: %s", got)
	}
}
