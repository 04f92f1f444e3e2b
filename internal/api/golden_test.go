package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
)

var update = flag.Bool("update", false, "write the golden files of the wire contracts")

// goldenCalls are made in this order, in a house of their own for each
// contract; {…} stands for the id of one of its objects.
var goldenCalls = []struct {
	name, method, path string
	kind               waypost.KeyKind
	body               string
}{
	{"subaccount-create", "POST", "/account/subaccount/", waypost.KeyAccount, `{"name":"second"}`},
	{"subaccount-list", "GET", "/account/subaccount/?limit=2", waypost.KeyAccount, ""},
	{"subaccount-get", "GET", "/account/subaccount/{subaccount}", waypost.KeyAccount, ""},
	{"subaccount-update", "PUT", "/account/subaccount/{subaccount}", waypost.KeyAccount, `{"name":"renamed"}`},
	{"subaccount-exists", "POST", "/account/subaccount", waypost.KeyAccount, `{"name":"second"}`},
	{"subaccount-delete-default", "DELETE", "/account/subaccount/{subaccount}", waypost.KeyAccount, ""},
	{"subaccount-delete", "DELETE", "/account/subaccount/3", waypost.KeyAccount, ""},
	{"subaccount-missing", "GET", "/account/subaccount/99", waypost.KeyAccount, ""},
	{"subaccount-settings", "PUT", "/account/settings/subaccount/{subaccount}", waypost.KeyAccount, `{"dropNullMX":true}`},
	{"ip-list", "GET", "/account/ip/", waypost.KeyAccount, ""},
	{"ip-get", "GET", "/account/ip/1", waypost.KeyAccount, ""},
	{"ip-update", "PUT", "/account/ip/1", waypost.KeyAccount, `{"autoWarmupEnabled":true}`},
	{"ip-allocate", "PUT", "/account/ip/allocate", waypost.KeyAccount, `{"ips":["192.0.2.1"],"overflowPool":false}`},
	{"ip-delete", "DELETE", "/account/ip/1", waypost.KeyAccount, ""},
	{"ippool-create-from-ip", "POST", "/account/ippool", waypost.KeyAccount, `{"name":"from ip","ips":[{"publicIP":"192.0.2.1"}],"routingStrategy":0,"warmupInterval":24,"overflowStrategy":0}`},
	{"ippool-list", "GET", "/account/ippool", waypost.KeyAccount, ""},
	{"ippool-update", "PUT", "/account/ippool/{ippool}", waypost.KeyAccount, `{"tpsps":[{tpsp}],"routingStrategy":0,"shouldOverflow":true,"overflowPoolName":"mta1"}`},
	{"ippool-get", "GET", "/account/ippool/{ippool}", waypost.KeyAccount, ""},
	{"ippool-delete", "DELETE", "/account/ippool/{ippool}", waypost.KeyAccount, ""},
	{"tpsp-get", "GET", "/account/tpsp/{tpsp}", waypost.KeyAccount, ""},
	{"message-get", "GET", "/account/message/{message}", waypost.KeyAccount, ""},
	{"message-events", "GET", "/account/message/{message}/events", waypost.KeyAccount, ""},
	{"message-timeline", "GET", "/account/message/{message}/timeline", waypost.KeyAccount, ""},
	{"message-list", "GET", "/account/message?from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"message-list-range", "GET", "/account/message", waypost.KeyAccount, ""},
	{"message-missing", "GET", "/account/message/00000000-0000-7000-8000-000000000000", waypost.KeyAccount, ""},
	{"subaccount-message-get", "GET", "/subaccount/message/{message}", waypost.KeySubAccount, ""},
	{"subaccount-message-missing", "GET", "/subaccount/message/00000000-0000-7000-8000-000000000000", waypost.KeySubAccount, ""},
	{"recipient-messages", "GET", "/account/recipient/{recipient}/messages", waypost.KeyAccount, ""},
	{"event-list", "GET", "/account/event/?search={recipient}", waypost.KeyAccount, ""},
	{"event-get", "GET", "/account/event/{event}", waypost.KeyAccount, ""},
	{"event-count", "GET", "/account/event/count?type=63,CSOpen", waypost.KeyAccount, ""},
	{"subaccount-event-list", "GET", "/subaccount/event?type=CSHardBounced", waypost.KeySubAccount, ""},
	{"stat-daily", "GET", "/account/stat?from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"stat-aggregate", "GET", "/account/stat/aggregate?from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"stat-group", "GET", "/account/stat/group?group=ours&from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"stat-aggregate-group", "GET", "/account/stat/aggregate/group?group=ours&from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"stat-range", "GET", "/account/stat?from={today}&to={yesterday}", waypost.KeyAccount, ""},
	{"stat-breakdown", "GET", "/account/stat/breakdown?by=domain&from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"subaccount-stat", "GET", "/account/subaccount/stat/{subaccount}?from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"subaccount-stat-aggregate", "GET", "/account/subaccount/stat/{subaccount}/aggregate?from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"subaccount-stat-group", "GET", "/account/subaccount/stat/{subaccount}/group?group=ours&from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"own-stat", "GET", "/subaccount/stat/?from={yesterday}&to={today}", waypost.KeySubAccount, ""},
	{"own-stat-groups", "GET", "/subaccount/stat/aggregate/groups?from={yesterday}&to={today}", waypost.KeySubAccount, ""},
	{"own-stat-providers", "GET", "/subaccount/stat/aggregate/providers?from={yesterday}&to={today}", waypost.KeySubAccount, ""},
	{"own-stat-ips", "GET", "/subaccount/stat/aggregate/ips?from={yesterday}&to={today}", waypost.KeySubAccount, ""},
	{"smtp-stat", "GET", "/account/smtp/stat?from={yesterday}&to={today}", waypost.KeyAccount, ""},
	{"key-create", "POST", "/account/key", waypost.KeyAccount, `{"name":"shop","scopes":["read","send"],"networks":["203.0.113.7"],"perHour":100,"expires":"2126-01-02T03:04:05Z"}`},
	{"key-list", "GET", "/account/key?kind=account&limit=3", waypost.KeyAccount, ""},
	{"webhook-create", "POST", "/account/webhook", waypost.KeyAccount, `{"url":"https://hooks.example.com/x","enabled":true,"delivered":true,"opened":true,"uniqueOpen":true}`},
	{"webhook-exists", "POST", "/account/webhook", waypost.KeyAccount, `{"url":"https://hooks.example.com/x"}`},
	{"webhook-list", "GET", "/account/webhook?search=hooks", waypost.KeyAccount, ""},
	{"webhook-get", "GET", "/account/webhook/{webhook}", waypost.KeyAccount, ""},
	{"webhook-update", "PUT", "/account/webhook/{webhook}", waypost.KeyAccount, `{"enabled":false}`},
	{"webhook-delete", "DELETE", "/account/webhook/{webhook}", waypost.KeyAccount, ""},
	{"domain-create", "POST", "/subaccount/domain", waypost.KeySubAccount, `{"name":"new.example"}`},
	{"domain-list", "GET", "/subaccount/domain?search=new", waypost.KeySubAccount, ""},
	{"domain-count", "GET", "/subaccount/domain/count", waypost.KeySubAccount, ""},
	{"domain-delete", "DELETE", "/subaccount/domain/{domain}", waypost.KeySubAccount, ""},
	{"domain-missing", "GET", "/subaccount/domain/99", waypost.KeySubAccount, ""},
	{"suppression-create", "POST", "/subaccount/suppression", waypost.KeySubAccount, `{"hardBounce":[{"email":"h@example.org"}],"manual":[{"email":"m@example.org"}],"unsubscribe":[{"email":"u@example.org"}],"spamComplaint":[{"email":"s@example.org"}]}`},
	{"suppression-list", "GET", "/subaccount/suppression?from={yesterday}&to={today}&type=manual", waypost.KeySubAccount, ""},
	{"suppression-count", "GET", "/subaccount/suppression/count?from={yesterday}&to={today}", waypost.KeySubAccount, ""},
	{"suppression-delete", "DELETE", "/subaccount/suppression", waypost.KeySubAccount, `{"suppressions":[{"email":"M@example.org"}]}`},
	{"template-create", "POST", "/account/template/", waypost.KeyAccount, `{"name":"welcome","html":"<p>Hello {{first}}</p>","text":"Hello {{first}}"}`},
	{"template-list", "GET", "/account/template/?search=welcome", waypost.KeyAccount, ""},
	{"template-get", "GET", "/account/template/{template}", waypost.KeyAccount, ""},
	{"template-copy", "POST", "/account/template/{template}/copy", waypost.KeyAccount, ""},
	{"template-count", "GET", "/account/template/count", waypost.KeyAccount, ""},
	{"template-delete", "DELETE", "/account/template/{template}", waypost.KeyAccount, ""},
	{"email-template", "POST", "/subaccount/email/template", waypost.KeySubAccount, `{"from":{"email":"news@example.com"},"to":[{"email":"a@example.org"}],"template":"welcome","templateVariables":{"first":"A"},"ippool":"mta1"}`},
	{"audit", "GET", "/account/audit?limit=2", waypost.KeyAccount, ""},
	{"email-send", "POST", "/subaccount/email/", waypost.KeySubAccount, `{"from":{"email":"news@example.com","name":"News"},"to":[{"email":"a@example.org","name":"A","customFields":{"n":5,"deep":{"x":[1]}},"cc":[{"email":"c@example.org","name":"C"}]},{"email":"broken@"}],"replyTo":{"email":"reply@example.com"},"subject":"s {{n}}","htmlBody":"<p>h</p>","textBody":"t","headers":{"X-A":"b"},"groups":["g"],"ippool":"mta1","attachments":[{"filename":"a.txt","content":"YQ=="}]}`},
}

func TestGoldenContracts(t *testing.T) {
	for _, contract := range []string{"legacy", "v1"} {
		t.Run(contract, func(t *testing.T) {
			h := newHouse(t)
			fill := h.filler()
			for _, c := range goldenCalls {
				rec := h.send(c.method, "/api/v1"+fill.Replace(c.path), map[string]string{
					h.headers[c.kind]: h.keys[c.kind], "X-SendPost-Public-Contract": contract,
				}, []byte(fill.Replace(c.body)))
				if got := rec.Header().Get("X-SendPost-Public-Contract"); got != contract {
					t.Errorf("%s: answered in contract %q", c.name, got)
				}
				h.golden(filepath.Join("testdata", "contract", contract, c.name+".json"), rec.Code, rec.Body.Bytes())
			}
		})
	}
}

// filler puts ids and days into a path.
func (h *house) filler() *strings.Replacer {
	day := time.Now().UTC()
	pairs := []string{"{today}", day.AddDate(0, 0, 1).Format(time.DateOnly), "{yesterday}", day.AddDate(0, 0, -1).Format(time.DateOnly)}
	for kind, id := range h.ours.ids {
		pairs = append(pairs, "{"+kind+"}", id)
	}
	return strings.NewReplacer(pairs...)
}

// vague is what differs from run to run.
var vague = []struct {
	what *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`"(eventI[dD])": "\d+"`), `"$1": "EVENT"`},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)"`), `"TIME"`},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\d"`), `"DAY"`},
	{regexp.MustCompile(`\b\d{18,19}\b`), "1"},
	{regexp.MustCompile(`("submittedAt": )\d{10}\b`), "${1}2"},
	{regexp.MustCompile(`\b(wp[asexdt])_[a-z2-7…]+`), "${1}_KEY"},
	{regexp.MustCompile(`("(port|smtpPort)": )\d+`), "${1}25"},
	{regexp.MustCompile(`"(hint|actor)": "[^"]*"`), `"$1": "HINT"`},
	{regexp.MustCompile(`key wp\S+`), "key HINT"},
	{regexp.MustCompile(`p=[A-Za-z0-9+/=]{40,}`), "p=KEY"},
}

func (h *house) golden(path string, status int, answer []byte) {
	h.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "// %d\n", status)
	if err := json.Indent(&b, answer, "", "  "); err != nil {
		h.Errorf("%s: %v: %s", path, err, answer)
		return
	}
	got := strings.TrimSpace(b.String()) + "\n"
	for _, v := range vague {
		got = v.what.ReplaceAllString(got, v.to)
	}
	if *update {
		h.ok(os.MkdirAll(filepath.Dir(path), 0o755))
		h.ok(os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		h.Errorf("%v; run with -update", err)
		return
	}
	if d := cmp.Diff(string(want), got); d != "" {
		h.Errorf("%s (-want +got):\n%s", path, d)
	}
}
