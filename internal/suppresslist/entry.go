package suppresslist

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
)

// words are the reasons that lists give, folded.
var words = map[string]waypost.SuppressionReason{
	"0": waypost.SuppressManual, "1": waypost.SuppressUnsubscribe, "2": waypost.SuppressHardBounce,
	"3": waypost.SuppressComplaint, "4": waypost.SuppressValidation,

	"manual": waypost.SuppressManual, "manualsuppression": waypost.SuppressManual, "manuallyadded": waypost.SuppressManual,
	"addedbyhand": waypost.SuppressManual, "admin": waypost.SuppressManual, "customer": waypost.SuppressManual,
	"blocklist": waypost.SuppressManual, "blocked": waypost.SuppressManual, "suppressed": waypost.SuppressManual,

	"unsubscribe": waypost.SuppressUnsubscribe, "unsubscribed": waypost.SuppressUnsubscribe, "unsubscribes": waypost.SuppressUnsubscribe,
	"optout": waypost.SuppressUnsubscribe, "optedout": waypost.SuppressUnsubscribe, "groupunsubscribe": waypost.SuppressUnsubscribe,
	"globalunsubscribe": waypost.SuppressUnsubscribe, "listunsubscribe": waypost.SuppressUnsubscribe,

	"bounce": waypost.SuppressHardBounce, "bounced": waypost.SuppressHardBounce, "bounces": waypost.SuppressHardBounce,
	"hardbounce": waypost.SuppressHardBounce, "hardbounced": waypost.SuppressHardBounce, "hardbounces": waypost.SuppressHardBounce,
	"permanent": waypost.SuppressHardBounce, "permanentbounce": waypost.SuppressHardBounce, "permanentfailure": waypost.SuppressHardBounce,
	"invalid": waypost.SuppressHardBounce, "invalidemail": waypost.SuppressHardBounce, "bademailaddress": waypost.SuppressHardBounce,

	"complaint": waypost.SuppressComplaint, "complained": waypost.SuppressComplaint, "complaints": waypost.SuppressComplaint,
	"spam": waypost.SuppressComplaint, "spamcomplaint": waypost.SuppressComplaint, "spamreport": waypost.SuppressComplaint,
	"spamreports": waypost.SuppressComplaint, "abuse": waypost.SuppressComplaint, "fbl": waypost.SuppressComplaint,

	"hardbouncefoundaftersending": waypost.SuppressValidation,
}

// TypeName is the public name of a reason, as the API and our own export write
// it.
func TypeName(r waypost.SuppressionReason) string {
	switch r {
	case waypost.SuppressUnsubscribe:
		return "unsubscribe"
	case waypost.SuppressHardBounce, waypost.SuppressValidation:
		return "hardBounce"
	case waypost.SuppressComplaint:
		return "spamComplaint"
	case waypost.SuppressManual:
	}
	return "manual"
}

// ParseType reads a reason by its public name.
func ParseType(name string) (waypost.SuppressionReason, bool) {
	for _, r := range []waypost.SuppressionReason{
		waypost.SuppressManual, waypost.SuppressUnsubscribe, waypost.SuppressHardBounce, waypost.SuppressComplaint,
	} {
		if TypeName(r) == name {
			return r, true
		}
	}
	return 0, false
}

// formatOf knows a service by the names of its fields.
func formatOf(fields map[string]string) Format {
	has := func(names ...string) bool {
		for _, n := range names {
			if _, ok := fields[n]; !ok {
				return false
			}
		}
		return true
	}
	switch {
	case has("email", "type", "created", "expires", "text"):
		return Waypost
	case has("suppressionreason"), has("emailaddress", "origin"):
		return Postmark
	case has("emailaddress", "lastupdatetime"), has("emailaddress", "reason"):
		return SES
	case has("email", "smtperror"):
		return SendPost
	case has("address", "createdat"), has("address", "error"), has("address", "tags"):
		return Mailgun
	case has("email", "created", "reason") && allDigits(fields["reason"]) && fields["reason"] != "":
		return SendPost
	case has("email", "created", "status"), has("email", "created", "ip"), has("email", "created") && len(fields) == 2,
		has("email", "created", "reason") && len(fields) == 3:
		return SendGrid
	}
	return Plain
}

// entry makes sense of the fields of one.
func (r *Reader) entry(fields map[string]string) (e Entry, err error) {
	if e.Email, _ = first(fields, emailNames); e.Email == "" {
		return e, errors.New("has no address")
	}
	e.Email = unmark(e.Email)
	said := ""
	for _, name := range []string{"type", "suppressionreason", "reason", "suppressiontype", "category", "event", "list"} {
		if said == "" {
			said = fields[name]
		}
	}
	text, _ := first(fields, textNames)
	e.Text = unmark(text)
	created, _ := first(fields, createdNames)
	e.Created, _ = moment(created) // unknown: now
	expires, _ := first(fields, expiresNames)
	var ok bool
	if e.Expires, ok = moment(expires); !ok && expires != "" {
		return e, errors.New("has an expiry that is no time; write 2026-03-14T09:26:53Z")
	}
	e.Reason, err = r.reason(fields, said, &e)
	if code := fields["code"]; code != "" && !strings.HasPrefix(e.Text, code) {
		e.Text = strings.TrimSpace(code + " " + e.Text)
	}
	return e, err
}

// unmark takes off what exports put before text that a table program would run
// as a formula.
func unmark(s string) string {
	if len(s) > 1 && s[0] == '\'' && strings.IndexByte("=+-@", s[1]) >= 0 {
		return s[1:]
	}
	return s
}

// reply is how the answer of a mail server looks.
var reply = regexp.MustCompile(`^\s*[245]\d\d\b|\b[245]\.\d{1,3}\.\d{1,3}\b`)

// reason is what the fields say, what the format means, or the caller's word.
func (r *Reader) reason(fields map[string]string, said string, e *Entry) (waypost.SuppressionReason, error) {
	if fold(said) == "manualsuppression" && fold(fields["origin"]) == "recipient" { // Postmark's word for it
		return waypost.SuppressUnsubscribe, nil
	}
	if reason, ok := words[fold(said)]; ok {
		return reason, nil
	}
	if said != "" {
		if r.format == SendGrid || reply.MatchString(said) { // a column named reason with the text of the reply
			if e.Text == "" {
				e.Text = said
			}
			return waypost.SuppressHardBounce, nil
		}
		if !r.sure {
			return 0, fmt.Errorf("has the reason %q, which is none of hardBounce, manual, unsubscribe and spamComplaint", clip(said))
		}
	}
	_, ip := fields["ip"]
	_, tags := fields["tags"]
	switch {
	case fields["status"] != "" || fields["code"] != "" || e.Text != "" && reply.MatchString(e.Text):
		return waypost.SuppressHardBounce, nil
	case r.sure:
		return r.given, nil
	case r.format == SendGrid && ip:
		return waypost.SuppressComplaint, nil
	case r.format == Mailgun && tags, r.format == SendGrid:
		return waypost.SuppressUnsubscribe, nil
	}
	return waypost.SuppressManual, nil
}

func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// layouts are those of dates in exports.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", time.RFC1123Z, time.RFC1123, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly,
}

// moment reads a time in a common form, or a number of seconds, milliseconds,
// microseconds or nanoseconds since 1970. None passes the year 9999, behind
// which RFC 3339 cannot write it.
func moment(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	if whole, _, _ := strings.Cut(s, "."); allDigits(whole) && len(whole) <= 19 {
		n, err := strconv.ParseInt(whole, 10, 64)
		switch {
		case err != nil || n <= 0:
			return time.Time{}, false
		case len(whole) >= 18:
			return time.Unix(0, n).UTC(), true
		case len(whole) >= 15:
			return time.UnixMicro(n).UTC(), true
		case len(whole) >= 12:
			return time.UnixMilli(n).UTC(), true
		}
		return time.Unix(n, 0).UTC(), true
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC()
			return t, t.Year() >= 0 && t.Year() <= 9999
		}
	}
	return time.Time{}, false
}
