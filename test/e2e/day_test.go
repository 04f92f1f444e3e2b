package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the day's mail says, and how its reader's program calls itself.
const (
	dayTarget  = `https://shop.example/a/path?q=1&r=%C3%BC#end`
	dayHTML    = `<html><body><p>Hello {{first}}, <a href="https://shop.example/a/path?q=1&amp;r=%C3%BC#end">look</a> <a data-notrack href="https://shop.example/bare">bare</a></p></body></html>`
	dayText    = "Hello {{first}}, look: " + dayTarget + "\n"
	dayBrowser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// TestDay goes with a customer through a day: one call to three recipients and
// its repetition, a mail handed in over SMTP, what arrives, readers who open,
// follow a link and unsubscribe, a send to one of them that is refused, and then
// what the webhook was told and the statistics count, against the list of
// events.
func TestDay(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, database string, ns func(testing.TB) nameserver, o postfixOptions) {
		b := newBed(t, database, ns(t), o)
		hook := newHook(t, b.server)
		var domains []domain
		b.get(t, b.asSub("GET", "/api/v1/subaccount/domain", nil), &domains)
		if len(domains) != 1 {
			t.Fatalf("sender domains: %+v", domains)
		}
		d := &day{bed: b, site: "http://" + domains[0].Track.Host + "/track/tpsp/"}
		d.sendOnce(t)
		bySMTP := d.submit(t)
		for i := range d.orders {
			b.awaitEnd(t, &d.orders[i])
		}
		b.awaitRelayed(t, d.orders)
		b.agent.idle(t, b.postfix.mailLog)
		for i := range d.orders {
			b.checkEvents(t, &d.orders[i])
		}
		d.checkArrived(t)
		reader := &d.orders[0]
		d.read(t, reader, d.mail[0])
		if bySMTP {
			d.read(t, &d.orders[len(d.orders)-1], d.mail[3])
		}
		d.sendAgain(t, reader)
		all := d.everything(t)
		hook.check(t, all)
		d.checkStatistics(t, all)
		d.checkContracts(t, reader)
	})
}

// day is what the test knows of it.
type day struct {
	*bed
	site   string // what tracking URLs begin with
	orders []order
	mail   []*received // of those that are delivered, in the same order
}

// sendOnce makes the day's calls, the first of them twice under one
// Idempotency-Key: the second must give the same answer and send nothing.
func (d *day) sendOnce(t *testing.T) {
	t.Helper()
	kinds := []string{"ok-", "ok-", "unknown-"}
	to := make([]m, len(kinds))
	for i, name := range kinds {
		k := kindOf(name)
		address := k.address("day", i)
		if i == 1 { // of another mailbox category
			address = strings.Replace(address, k.domain, "gmail.com", 1)
		}
		to[i] = m{"email": address, "customFields": m{"first": fmt.Sprintf("Zoë %d", i)}}
	}
	c := d.asSub("POST", "/api/v1/subaccount/email", m{
		"from": m{"email": "news@" + senderName, "name": "The News"}, "to": to, "subject": "For {{first}}", "ippool": d.provider.Pool,
		"htmlBody": dayHTML, "textBody": dayText,
		"trackOpens": true, "trackClicks": true, "groups": []string{"spring", "shop"},
	})
	c.extra = map[string]string{"Idempotency-Key": "the order of today"}
	first, second := d.ask(t, c), d.ask(t, c)
	if first.status != http.StatusOK || second.status != http.StatusOK || !bytes.Equal(first.body, second.body) {
		t.Fatalf("a call and its repetition: %d %s\n%d %s", first.status, first.body, second.status, second.body)
	}
	if a, b := first.header.Get("Idempotent-Replayed"), second.header.Get("Idempotent-Replayed"); a != "" || b != "true" {
		t.Errorf("Idempotent-Replayed is %q, then %q", a, b)
	}
	var answers []sent
	if err := json.Unmarshal(first.body, &answers); err != nil || len(answers) != len(to) {
		t.Fatalf("%v: %s", err, first.body)
	}
	ok := kindOf("ok-")
	answers = append(answers, d.send(t, m{
		"from": m{"email": "news@" + senderName}, "to": []m{{"email": ok.address("day", 3)}}, "subject": "Your order", "textBody": "It is on its way.\n",
		"headers": m{"Message-ID": "<order.17@shop.example>"}, "ippool": d.provider.Pool, "groups": []string{"shop"},
	})...)
	for _, a := range answers {
		if a.ErrorCode != 0 || a.MessageID == "" {
			t.Fatalf("answer %+v", a)
		}
		d.orders = append(d.orders, order{sent: a, kind: kindOf(a.To)})
	}
}

// accepted is what SMTP submission answers.
var accepted = regexp.MustCompile(`250 2\.0\.0 Accepted as ([0-9a-f-]{36})`)

// submit hands in one more mail over SMTP, by swaks; false where that is not
// installed.
func (d *day) submit(t *testing.T) bool {
	t.Helper()
	swaks, ok := find("swaks")
	if !ok {
		t.Log("nothing is handed in over SMTP: swaks is not installed (Debian: apt-get install swaks)")
		return false
	}
	var login struct{ Username, Password string }
	made := d.ask(t, d.asSub("POST", "/api/v1/subaccount/smtp", m{"name": "shop"}))
	if err := json.Unmarshal(made.body, &login); made.status != http.StatusCreated || err != nil || login.Password == "" {
		t.Fatalf("credentials for SMTP: %d %v %s", made.status, err, made.body)
	}
	_, rest, _ := strings.Cut(d.proc.line(t, "ready http=", 0), " submission=")
	host, port, err := net.SplitHostPort(strings.Fields(rest + " ")[0])
	if err != nil {
		t.Fatal(err)
	}
	k := kindOf("ok-")
	to := k.address("day", 4)
	mail := strings.Join([]string{
		"From: The Shop <news@" + senderName + ">", "To: " + to, "Subject: For {{first}}", "Message-ID: <order.18@shop.example>",
		"X-Sendpost-IPPool: " + d.provider.Pool, "X-Sendpost-Groups: spring", `X-Sendpost-Custom-Fields: {"first": "Zoe 4"}`,
		"MIME-Version: 1.0", `Content-Type: multipart/alternative; boundary="=="`, "",
		"--==", "Content-Type: text/plain", "", dayText, "--==", "Content-Type: text/html", "", dayHTML, "--==--", "",
	}, "\n")
	out := mustRun(t, swaks, "--server", host, "--port", port, "--tls", "--auth", "PLAIN", "--auth-user", login.Username, "--auth-password", login.Password,
		"--from", "anybody@shop.example", "--to", to, "--data", "@"+write(t, filepath.Join(t.TempDir(), "mail"), mail))
	id := accepted.FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("swaks was not told the message's id:\n%s", out)
	}
	d.orders = append(d.orders, order{sent: sent{To: to, MessageID: id[1]}, kind: k})
	return true
}

// checkArrived looks at the mail at the far end: each once, signed, with our
// links, pixel and unsubscription, and the customer's own Message-ID.
func (d *day) checkArrived(t *testing.T) {
	t.Helper()
	got := d.sink.byUUID()
	var raw [][]byte
	for i := range d.orders {
		o := &d.orders[i]
		copies := got[o.MessageID]
		if o.kind.event != 60 {
			if len(copies) != 0 {
				t.Errorf("%s arrived %d times", o.To, len(copies))
			}
			continue
		}
		if len(copies) != 1 {
			t.Fatalf("%s arrived %d times, want once", o.To, len(copies))
		}
		e := open(t, copies[0])
		d.mail = append(d.mail, e)
		raw = append(raw, copies[0].Data)
		if list := e.header.Get("List-Unsubscribe"); !strings.HasPrefix(list, "<"+d.site+"unsubscribe/") || !strings.HasSuffix(list, ">") {
			t.Errorf("%s: List-Unsubscribe is %q", o.To, list)
		}
		e.fieldIs(t, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
	}
	if len(d.mail) != len(d.orders)-1 {
		t.Fatalf("%d messages arrived, want %d", len(d.mail), len(d.orders)-1)
	}
	own := func(i int) string { return "<" + d.orders[i].MessageID + "@sp-bounce." + senderName + ">" }
	names := []string{"Zoë 0", "Zoë 1", "", "Zoe 4"}
	ids := []string{own(0), own(1), "<order.17@shop.example>", "<order.18@shop.example>"}
	for i, e := range d.mail {
		e.fieldIs(t, "Message-ID", ids[i])
		if names[i] == "" { // text alone, without a link
			continue
		}
		e.fieldIs(t, "Subject", "For "+names[i])
		body := e.part(t, "text/html")
		e.contains(t, body, "Hello "+names[i]+", ", `href="`+d.site+"click/", `<img src="`+d.site+"open/", `href="https://shop.example/bare"`)
		e.contains(t, e.part(t, "text/plain"), "Hello "+names[i]+", look: "+d.site+"click/")
		if bytes.Contains(body, []byte("q=1")) {
			t.Errorf("%s: the link is not ours in %s", e.To, body)
		}
	}
	by := verifySignatures(t, d.ns, d.keyHost, senderName, raw)
	t.Logf("DKIM signatures of %d messages verified by %s", len(raw), strings.Join(by, " and "))
}

// visit asks our server for a tracking URL as the proxy before it would.
func (d *day) visit(t *testing.T, method, at string, form url.Values) answer {
	t.Helper()
	path, ours := strings.CutPrefix(at, d.site)
	if !ours {
		t.Fatalf("%q is none of our URLs", at)
	}
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.addr+"/track/tpsp/"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	site, err := url.Parse(d.site)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = site.Host
	r.Header.Set("User-Agent", dayBrowser)
	got, err := http.DefaultTransport.RoundTrip(r) // a redirect is not followed
	if err != nil {
		t.Fatalf("%s %s: %v", method, at, err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, text}
}

var (
	dayLink  = regexp.MustCompile(`<a href="([^"]+)"`)
	dayPixel = regexp.MustCompile(`<img src="([^"]+)"`)
)

// read is what a reader's programs do, and what must be known of it then.
func (d *day) read(t *testing.T, o *order, e *received) {
	t.Helper()
	body := string(e.part(t, "text/html"))
	link, image := dayLink.FindStringSubmatch(body), dayPixel.FindStringSubmatch(body)
	if link == nil || image == nil {
		t.Fatalf("no link or no pixel in %s", body)
	}
	if a := d.visit(t, "GET", html.UnescapeString(image[1]), nil); a.status != http.StatusOK || a.header.Get("Content-Type") != "image/png" || !bytes.HasPrefix(a.body, []byte("\x89PNG")) {
		t.Errorf("the pixel: %d %v", a.status, a.header)
	}
	if a := d.visit(t, "GET", html.UnescapeString(link[1]), nil); a.status != http.StatusFound || a.header.Get("Location") != dayTarget {
		t.Errorf("the link: %d to %q, want %q", a.status, a.header.Get("Location"), dayTarget)
	}
	leave := strings.Trim(e.header.Get("List-Unsubscribe"), "<>")
	if a := d.visit(t, "POST", leave, url.Values{"List-Unsubscribe": {"One-Click"}}); a.status != http.StatusOK {
		t.Errorf("unsubscribe: %d: %s", a.status, a.body)
	}
	eventually(t, "the reader's open, click and unsubscription", waitMail, func() bool { return len(d.events(t, o.MessageID)) == 6 })
	var got []struct {
		Type          int
		EventMetadata struct{ ClickedURL, RawUserAgent string }
	}
	d.get(t, d.asAccount("GET", "/api/v1/account/message/"+o.MessageID+"/events", nil), &got)
	seen := map[int]int{}
	for _, e := range got {
		seen[e.Type]++
		if e.Type >= 65 && e.EventMetadata.RawUserAgent != dayBrowser || e.Type == 66 && e.EventMetadata.ClickedURL != dayTarget {
			t.Errorf("%+v", e)
		}
	}
	for _, typ := range []int{58, 59, 60, 65, 66, 68} {
		if seen[typ] != 1 {
			t.Errorf("%s has %d events of type %d, want one: %+v", o.To, seen[typ], typ, got)
		}
	}
}

// sendAgain sends to the one who unsubscribed.
func (d *day) sendAgain(t *testing.T, o *order) {
	t.Helper()
	a := d.send(t, m{"from": m{"email": "news@" + senderName}, "to": []m{{"email": o.To}}, "subject": "again", "textBody": "again", "ippool": d.provider.Pool, "groups": []string{"spring"}})
	if len(a) != 1 || a[0].ErrorCode != 2 {
		t.Fatalf("sent to one who unsubscribed: %+v", a)
	}
	got := d.events(t, a[0].MessageID)
	if !slices.ContainsFunc(got, func(e event) bool {
		return e.Type == 62 && strings.Contains(e.SMTPDescription, "suppression list")
	}) || len(got) != 2 {
		t.Errorf("events of one who unsubscribed: %+v", got)
	}
}

// everything lists all events of the account, page by page.
func (d *day) everything(t *testing.T) []listed {
	t.Helper()
	var all, page []listed
	for before := ""; before == "" || len(page) > 0; before = all[len(all)-1].ID {
		page = nil
		d.get(t, d.asAccount("GET", "/api/v1/account/event?limit=7&before="+before, nil), &page)
		all = append(all, page...)
		if len(all) == 0 {
			t.Fatal("no events are listed")
		}
	}
	return all
}

// checkStatistics recounts the list and compares.
func (d *day) checkStatistics(t *testing.T, all []listed) {
	t.Helper()
	days := []string{time.Unix(all[len(all)-1].At, 0).UTC().AddDate(0, 0, -1).Format(time.DateOnly), time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)}
	span := "?from=" + days[0] + "&to=" + days[1]
	byDay, byProvider, byGroup, byMailbox := tally{}, tally{}, tally{}, tally{}
	for i := range all {
		e := &all[i]
		c := e.counter()
		byDay.add(time.Unix(e.At, 0).UTC().Format(time.DateOnly), c, 1)
		byProvider.add(itoa(e.TPSP), c, 1)
		byMailbox.add(e.Mailbox, c, 1)
		for _, g := range e.Groups {
			byGroup.add(g, c, 1)
		}
	}
	var daily []struct {
		Date string
		Stat map[string]int64
	}
	d.get(t, d.asAccount("GET", "/api/v1/account/stat"+span, nil), &daily)
	got := tally{}
	for _, s := range daily {
		for c, n := range s.Stat {
			got.add(s.Date, c, n)
		}
	}
	t.Logf("%d events: %v, by mailbox category %v", len(all), byProvider, byMailbox)
	got.equal(t, "day", byDay)
	for by, want := range map[string]tally{"provider": byProvider, "group": byGroup, "mailbox": byMailbox} {
		var rows []struct {
			Key  string
			Stat map[string]int64
		}
		d.get(t, d.asAccount("GET", "/api/v1/account/stat/breakdown"+span+"&by="+by, nil), &rows)
		got := tally{}
		for _, r := range rows {
			for c, n := range r.Stat {
				if !strings.HasPrefix(c, "unique") {
					got.add(r.Key, c, n)
				}
			}
		}
		got.equal(t, by, want)
	}
}

// checkContracts asks for the same events in both contracts.
func (d *day) checkContracts(t *testing.T, o *order) {
	t.Helper()
	for _, contract := range []string{"legacy", "v1"} {
		c := d.asSub("GET", "/api/v1/subaccount/message/"+o.MessageID+"/events", nil)
		c.extra = map[string]string{"X-SendPost-Public-Contract": contract}
		a := d.ask(t, c)
		var got []map[string]any
		if err := json.Unmarshal(a.body, &got); a.status != http.StatusOK || err != nil || len(got) != 6 || a.header.Get("X-SendPost-Public-Contract") != contract {
			t.Fatalf("contract %s: %d %v %s", contract, a.status, err, a.body)
		}
		for _, e := range got {
			_, legacy := e["messageSubject"]
			_, v1 := e["typeName"]
			if legacy != (contract == "legacy") || v1 != (contract == "v1") {
				t.Errorf("contract %s answers %v", contract, e)
			}
		}
	}
}
