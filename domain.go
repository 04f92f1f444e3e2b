package waypost

import "time"

// SenderDomain is a domain that a sub-account sends from: its DKIM key and the
// DNS records asked of its owner, each with what was found.
type SenderDomain struct {
	ID         int64
	Account    int64
	SubAccount int64
	Name       string // lower case, ASCII form
	Selector   string // DKIM selector, default DKIMSelector
	Key        Sealed // DKIM private key, PKCS #8
	Records    []DNSRecord
	Created    time.Time
	CheckedAt  time.Time // zero: never
	NextCheck  time.Time

	// Keys are the DKIM keys beside Selector and Key: the successor of a
	// rotation, the predecessor that verifies mail in flight, an Ed25519 second
	// (D-26). Stored sealed.
	Keys []DKIMKey
	// DirectBounce asks for MX and SPF records at the bounce host of the domain
	// itself instead of the CNAME (D-29).
	DirectBounce bool
	// DNSProvider is who runs the domain's name servers, as the last check saw
	// them; "" when unknown.
	DNSProvider string
}

// DKIMKey is a key of a sender domain beside its first.
type DKIMKey struct {
	Selector string
	Role     DKIMRole
	Key      Sealed // PKCS #8
	Created  time.Time
	Until    time.Time // of a retired key: when it is forgotten and its record may go
}

// DKIMRole says what a further key is for. The words are stored.
type DKIMRole string

// The roles.
const (
	DKIMNext    DKIMRole = "next"    // signs once its record is found
	DKIMRetired DKIMRole = "retired" // signs no more; its record stays until mail in flight has arrived
	DKIMEd25519 DKIMRole = "ed25519" // signs as a second once its record is found
)

// DKIMSelector is the selector of new domains (D-26).
const DKIMSelector = "sp-dkim"

// RecordKind names what a DNS record is for. The words are stored.
type RecordKind string

// The records of a sender domain (sendpost.md, d.2).
const (
	RecordDKIM       RecordKind = "dkim"       // the only condition of "verified"
	RecordReturnPath RecordKind = "returnPath" // the condition of relaying
	RecordTrack      RecordKind = "track"
	RecordDMARC      RecordKind = "dmarc"
	RecordDKIMNext   RecordKind = "dkimNext"    // of a key with the role next
	RecordEd25519    RecordKind = "dkimEd25519" // of a key with the role ed25519
	RecordBounceMX   RecordKind = "bounceMX"    // in the place of returnPath, with DirectBounce
	RecordBounceSPF  RecordKind = "bounceSPF"   // as RecordBounceMX
)

// DNSRecord is a record asked of a domain's owner and the state of the last
// look-ups.
type DNSRecord struct {
	Kind     RecordKind
	Host     string // fully qualified, without the final dot
	Type     string // "TXT", "CNAME" or "MX"
	Value    string // what it must say; of an MX the host alone
	Verified bool
	Found    string // what the last look-up found, "" when nothing
	Failure  string // why it does not verify, in words; "" when it does or was never looked up
	Failures int    // failed checks in a row; a verified record is withdrawn after three (D-30)
	// Since is when the record was first asked for; zero: as long as the domain.
	Since time.Time `json:",omitzero"`
}

// Record finds the domain's record of a kind, nil when there is none.
func (d *SenderDomain) Record(kind RecordKind) *DNSRecord {
	for i := range d.Records {
		if d.Records[i].Kind == kind {
			return &d.Records[i]
		}
	}
	return nil
}

// Verified tells whether the record of a kind was found as asked. The return
// path is also verified by its two records at the domain itself, with
// DirectBounce (D-29); the CNAME that they replace counts until they are found,
// so that changing over costs no mail.
func (d *SenderDomain) Verified(kind RecordKind) bool {
	if r := d.Record(kind); r != nil && r.Verified {
		return true
	}
	return kind == RecordReturnPath && d.DirectBounce && d.Verified(RecordBounceMX) && d.Verified(RecordBounceSPF)
}

// KeyOf finds the first further key of a role, nil when there is none.
func (d *SenderDomain) KeyOf(role DKIMRole) *DKIMKey {
	for i := range d.Keys {
		if d.Keys[i].Role == role {
			return &d.Keys[i]
		}
	}
	return nil
}

// SigningKeys lists the keys that sign, the first one first. It signs whether
// or not the last check found its record: a signature without a record counts
// as none (RFC 6376, section 6.1), and a check that failed by mistake must not
// cost the signature. The Ed25519 key signs beside it once its record is found.
func (d *SenderDomain) SigningKeys() []DKIMKey {
	keys := []DKIMKey{{Selector: d.Selector, Key: d.Key, Created: d.Created}}
	if k := d.KeyOf(DKIMEd25519); k != nil && d.Verified(RecordEd25519) {
		keys = append(keys, *k)
	}
	return keys
}
