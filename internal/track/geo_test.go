package track

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/test/mmdb"
)

var geoRecords = map[netip.Prefix]mmdb.Record{
	netip.MustParsePrefix("81.2.69.0/24"): {
		"city": mmdb.Record{"geoname_id": uint32(2643743)}, "continent": mmdb.Record{"code": "EU"}, "country": mmdb.Record{"iso_code": "GB"},
		"postal": mmdb.Record{"code": "EC2V"}, "location": mmdb.Record{"time_zone": "Europe/London"},
	},
	netip.MustParsePrefix("2001:db8::/32"):   {"country_code": "DE"},
	netip.MustParsePrefix("198.51.100.0/24"): {"something": "else"},
}

func geoFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "geo.mmdb")
	mmdb.Write(t, path, geoRecords)
	return path
}

func TestGeo(t *testing.T) {
	g, err := OpenGeo(geoFile(t))
	if err != nil {
		t.Fatal(err)
	}
	london := Place{2643743, "EU", "GB", "EC2V", "Europe/London"}
	for address, want := range map[string]Place{
		"81.2.69.142": london, "::ffff:81.2.69.142": london, "2001:db8::1": {Country: "DE"}, "2001:db8::1%eth0": {Country: "DE"},
		"192.0.2.1": {}, "198.51.100.7": {}, "2001:db9::1": {}, "": {}, "nobody": {}, "127.0.0.1": {},
	} {
		if got, ok := g.Place(address); got != want || ok != (want != Place{}) {
			t.Errorf("%s is in %+v, %t", address, got, ok)
		}
	}
	if london.City() != "2643743" || (&Place{}).City() != "" {
		t.Error("the id of a city as text")
	}
	if _, ok := (*Geo)(nil).Place("81.2.69.142"); ok {
		t.Error("no database knows a place")
	}
}

// TestGeoFileChanges: a new file is read, a broken one is not believed.
func TestGeoFileChanges(t *testing.T) {
	path, now := geoFile(t), time.Now()
	g, err := OpenGeo(path)
	if err != nil {
		t.Fatal(err)
	}
	g.now = func() time.Time { return now }
	country := func(want string) {
		t.Helper()
		now = now.Add(geoCheck)
		if p, _ := g.Place("81.2.69.1"); p.Country != want {
			t.Errorf("country %q, want %q", p.Country, want)
		}
	}
	country("GB")
	if err := os.WriteFile(path, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	country("GB")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	country("GB")
	mmdb.Write(t, path, map[netip.Prefix]mmdb.Record{netip.MustParsePrefix("81.2.0.0/16"): {"country_code": "IE"}})
	country("IE")
}

func TestGeoFilesThatAreNone(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if _, err := OpenGeo(path); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
}
