package dash

import (
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
)

// domainRecords is what the API knows of a domain's records.
type domainRecords struct {
	ID           int64         `json:"id"`
	Name         string        `json:"name"`
	Zone         string        `json:"zone"`
	DNSProvider  string        `json:"dnsProvider"`
	DirectBounce bool          `json:"directBounce"`
	Signing      []string      `json:"signingSelectors"`
	CheckedAt    time.Time     `json:"checkedAt"`
	NextCheckAt  time.Time     `json:"nextCheckAt"`
	Records      []askedRecord `json:"records"`
	Installation []askedRecord `json:"installation"`
	ZoneFile     string        `json:"zoneFile"`
}

// askedRecord is one record with its state.
type askedRecord struct {
	Kind     string    `json:"kind"`
	Host     string    `json:"host"`
	Short    string    `json:"relativeHost"`
	Type     string    `json:"type"`
	Priority int       `json:"priority"`
	Value    string    `json:"expected"`
	Found    string    `json:"found"`
	Verified bool      `json:"verified"`
	Required bool      `json:"required"`
	Failure  string    `json:"failureReason"`
	Failures int       `json:"failuresInARow"`
	Keep     time.Time `json:"keepUntil"`
	Todo     string    `json:"todo"`

	Checked bool // looked up at least once
}

// Purpose says what the record is for.
func (r askedRecord) Purpose() string {
	switch r.Kind {
	case "dkimRetired":
		return "Replaced signature key"
	case "bounceHostMX", "bounceHostAddress", "bounceHostSPF":
		return "Bounce host"
	}
	return orElse(recordWords[waypost.RecordKind(r.Kind)], r.Kind)
}

// State is the mark of the record.
func (r askedRecord) State() chip {
	switch {
	case !r.Keep.IsZero():
		return makeChip("info", "keep")
	case r.Verified && r.Failures > 0:
		return makeChip("warn", "verified, now missing", plural(r.Failures, "failed look-up", "failed look-ups")+"; withdrawn after three")
	case r.Verified:
		return makeChip("ok", "verified")
	case !r.Checked:
		return makeChip("quiet", "not looked up yet")
	case r.Found != "":
		return makeChip("bad", "says something else")
	case r.Required:
		return makeChip("bad", "not found")
	}
	return makeChip("warn", "not found")
}

// domainPage is one sender domain.
type domainPage struct {
	Domain   waypost.SenderDomain
	Sub      waypost.SubAccount
	State    chip
	Records  domainRecords
	Rotating bool
	Ed25519  bool
	Left     int // required records that are not verified
}

func (d *Dash) readDomain(v *visit) (p domainPage, err error) {
	if p.Domain, err = d.domainOf(v); err != nil {
		return p, err
	}
	path := fmt.Sprintf("/subaccount/domain/%d/records", p.Domain.ID)
	if err := d.call(v, p.Domain.SubAccount, http.MethodGet, path, nil, &p.Records); err != nil {
		return p, err
	}
	if p.Sub, err = d.cfg.Store.SubAccount(v.ctx(), v.account(), p.Domain.SubAccount); err != nil {
		return p, fmt.Errorf("read sub-account %d: %w", p.Domain.SubAccount, err)
	}
	return p, nil
}

func (d *Dash) domain(v *visit) error {
	p, err := d.readDomain(v)
	if err != nil {
		return err
	}
	p.State = domainState(&p.Domain)
	for i := range p.Records.Records {
		r := &p.Records.Records[i]
		r.Checked = !p.Domain.CheckedAt.IsZero()
		if r.Required && !r.Verified {
			p.Left++
		}
	}
	for i := range p.Records.Installation {
		p.Records.Installation[i].Checked, p.Records.Installation[i].Required = true, true
	}
	for _, k := range p.Domain.Keys {
		p.Rotating = p.Rotating || k.Role == waypost.DKIMNext
		p.Ed25519 = p.Ed25519 || k.Role == waypost.DKIMEd25519
	}
	return d.show(v, "domain", p)
}

// domainZone gives the records as text for a zone file.
func (d *Dash) domainZone(v *visit) error {
	p, err := d.readDomain(v)
	if err != nil {
		return err
	}
	return v.plain([]byte(p.Records.ZoneFile), p.Domain.Name+".zone")
}
