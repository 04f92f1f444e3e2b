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
	seen   *simplelru.LRU[string, device]
}{
	parser: sync.OnceValues(func() (*uaparser.Parser, error) { return uaparser.New(uaparser.WithCacheSize(1)) }),
	seen: func() *simplelru.LRU[string, device] {
		lru, err := simplelru.NewLRU[string, device](devicesKept, nil)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		return lru
	}(),
}

type device struct{ family, os, device string }

// Device names what a user agent stands for: the browser or mail program, the
// operating system, the device; "" for what cannot be told. Some hundred
// expressions are tried the first time, which takes milliseconds, so it
// is for listings and not for the tracking requests themselves.
func Device(userAgent string) (family, os, dev string) {
	userAgent = cleanAgent(userAgent)
	if userAgent == "" {
		return "", "", ""
	}
	devices.mu.Lock()
	d, ok := devices.seen.Get(userAgent)
	devices.mu.Unlock()
	if ok {
		return d.family, d.os, d.device
	}
	p, err := devices.parser()
	if err != nil {
		return "", "", ""
	}
	c := p.Parse(userAgent)
	known := func(s string) string {
		if s == "Other" {
			return ""
		}
		return s
	}
	d = device{known(c.UserAgent.Family), known(c.Os.Family), known(c.Device.Family)}
	devices.mu.Lock()
	defer devices.mu.Unlock()
	devices.seen.Add(userAgent, d)
	return d.family, d.os, d.device
}
