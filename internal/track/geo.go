package track

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// Place is where an address is, as far as a database tells. CityID is a GeoNames
// id, 0 when it is not known.
type Place struct {
	CityID    uint32
	Continent string // two letters, such as EU
	Country   string // ISO 3166-1, such as FR
	Postal    string
	TimeZone  string // of the IANA database, such as Europe/Paris
}

// City is CityID as text, "" when it is not known.
func (p *Place) City() string {
	if p.CityID == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(p.CityID), 10)
}

// Geo finds places in a file of the MaxMind DB format: a GeoLite2 or GeoIP2
// City or Country database, or another with their fields. The operator brings
// the file; it is read again when it changes. A nil Geo knows no place.
type Geo struct {
	path string
	now  func() time.Time

	mu      sync.Mutex
	db      *maxminddb.Reader
	stamp   stamp
	checked time.Time
}

// stamp tells one state of a file from the next.
type stamp struct {
	at   time.Time
	size int64
}

// geoCheck is how often the file is looked at.
const geoCheck = time.Minute

// OpenGeo reads a database. It is kept in memory as a whole.
func OpenGeo(path string) (*Geo, error) {
	g := &Geo{path: path, now: time.Now}
	s, err := g.look()
	if err != nil {
		return nil, err
	}
	return g, g.load(s)
}

func (g *Geo) look() (stamp, error) {
	info, err := os.Stat(g.path)
	if err != nil {
		return stamp{}, fmt.Errorf("open the geo database: %w", err)
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// load reads the file. On error what was read before stays.
func (g *Geo) load(s stamp) error {
	text, err := os.ReadFile(g.path) // and not mapped: a copy over a mapped file would end the process
	if err != nil {
		return fmt.Errorf("read the geo database: %w", err)
	}
	db, err := maxminddb.OpenBytes(text)
	if err != nil {
		return fmt.Errorf("geo database %s is no MaxMind DB file: %w", g.path, err)
	}
	g.db, g.stamp, g.checked = db, s, g.now()
	return nil
}

// current gives the database, read anew when the file has changed. A file that
// is being written is tried again a minute later.
func (g *Geo) current() *maxminddb.Reader {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now := g.now(); now.Sub(g.checked) >= geoCheck {
		g.checked = now
		if s, err := g.look(); err == nil && s != g.stamp {
			_ = g.load(s) // the old one does until the new one can be read
		}
	}
	return g.db
}

// Place finds the place of an address as text; false for what the database does
// not know.
func (g *Geo) Place(address string) (Place, bool) {
	if g == nil || address == "" {
		return Place{}, false
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return Place{}, false
	}
	var found struct {
		City struct {
			ID uint32 `maxminddb:"geoname_id"`
		} `maxminddb:"city"`
		Continent struct {
			Code string `maxminddb:"code"`
		} `maxminddb:"continent"`
		Country struct {
			Code string `maxminddb:"iso_code"`
		} `maxminddb:"country"`
		Postal struct {
			Code string `maxminddb:"code"`
		} `maxminddb:"postal"`
		Location struct {
			TimeZone string `maxminddb:"time_zone"`
		} `maxminddb:"location"`
		Flat string `maxminddb:"country_code"` // of databases of countries alone
	}
	if err := g.current().Lookup(ip.Unmap().WithZone("")).Decode(&found); err != nil {
		return Place{}, false
	}
	p := Place{found.City.ID, found.Continent.Code, found.Country.Code, found.Postal.Code, found.Location.TimeZone}
	if p.Country == "" {
		p.Country = found.Flat
	}
	return p, p != Place{}
}
