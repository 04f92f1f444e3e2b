package track

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/ua-parser/uap-go/uaparser"
)

// devicesKept bounds the user agents whose device is remembered.
const devicesKept = 4096

// devices parses user agents. Its expressions are compiled when the first one
// is asked for.
var devices = struct {
	parser func() (*uaparser.Parser, error)
	mu     sync.Mutex
	seen   *simplelru.LRU[string, Visitor]
}{
	parser: sync.OnceValues(func() (*uaparser.Parser, error) { return uaparser.New(uaparser.WithCacheSize(1)) }),
	seen: func() *simplelru.LRU[string, Visitor] {
		lru, err := simplelru.NewLRU[string, Visitor](devicesKept, nil)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return lru
	}(),
}

// Visitor is what a user agent stands for. "" stands for what cannot be told.
type Visitor struct {
	Program Version // browser or mail program
	System  Version // operating system
	Machine Machine
}

// Version is a program or system with the numbers of its version.
type Version struct {
	Family, Major, Minor, Patch string
	PatchMinor                  string // of systems alone
}

// Machine is a device, as its maker calls it.
type Machine struct{ Family, Brand, Model string }

// Device reads a user agent. Some hundred expressions are tried the first time,
// which takes milliseconds, so it is for listings and not for the tracking
// requests themselves.
func Device(userAgent string) Visitor {
	userAgent = cleanAgent(userAgent)
	if userAgent == "" {
		return Visitor{}
	}
	devices.mu.Lock()
	d, ok := devices.seen.Get(userAgent)
	devices.mu.Unlock()
	if ok {
		return d
	}
	p, err := devices.parser()
	if err != nil {
		return Visitor{}
	}
	d = visitorOf(p.Parse(userAgent))
	devices.mu.Lock()
	defer devices.mu.Unlock()
	devices.seen.Add(userAgent, d)
	return d
}

// visitorOf takes over what was read; "Other" is the parser's word for nothing.
func visitorOf(c *uaparser.Client) (v Visitor) {
	const nothing = "Other"
	if p := c.UserAgent; p != nil && p.Family != nothing {
		v.Program = Version{Family: p.Family, Major: p.Major, Minor: p.Minor, Patch: p.Patch}
	}
	if s := c.Os; s != nil && s.Family != nothing {
		v.System = Version{Family: s.Family, Major: s.Major, Minor: s.Minor, Patch: s.Patch, PatchMinor: s.PatchMinor}
	}
	if m := c.Device; m != nil && m.Family != nothing {
		v.Machine = Machine{m.Family, m.Brand, m.Model}
	}
	return v
}
