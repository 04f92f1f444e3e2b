package bounce

import (
	"regexp"
	"strings"
)

var (
	addressRE = regexp.MustCompile(`(?:"[^"\n]{1,64}"|[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]{1,128})@[A-Za-z0-9][A-Za-z0-9.-]{0,252}`)
	bounceRE  = regexp.MustCompile(`(?i)undeliver|(?:not|n't|unable to|cannot|failed to) (?:be )?(?:deliver|reach)|(?:mail|delivery|message|send(?:ing)?)[ a-z]{0,20} fail|fail(?:ed|ure)[ a-z]{0,12} (?:deliver|notice|mail)|returned mail|returned to sender|mail (?:delivery )?error|permanent (?:fatal )?error|user unknown|unknown user|delivery (?:status|problem|error|report|fail)|could ?n[o']t (?:be )?(?:sent|deliver)|non[- ]?deliver|rejected|unzustellbar|nicht zugestellt|no se pudo|non remis|mailbox (?:is )?full|quota|(?:not a valid|no such|invalid) (?:user|recipient|address|mailbox)|does not exist|did not reach|not (?:been )?delivered|returned|配信|送信でき|エラー|退信|无法`)
	delayRE   = regexp.MustCompile(`(?i)delayed|delay(?:ed)? notif|not yet been delivered|warning message only|this is a warning only|will (?:be retried|retry|continue|keep trying)|still being (?:retried|queued)|has been postponed|delivery attempts will continue|advisory-only|temporar(?:y|ily)[^.]{0,60}will (?:be )?retr`)
	daemonRE  = regexp.MustCompile(`(?i)mailer[-_.]?daemon|mail[-_. ]?delivery|postmaster|post_master|mail (?:delivery )?(?:sub)?system|bounce|delivery|system administrator|mailadmin|maildaemon|mailsys|noreply-|mail-?server`)
	autoRE    = regexp.MustCompile(`(?i)out of (?:the )?office|auto(?:matic)?[-: ]?(?:re(?:ply|sponse|sponder)|generated reply|antwort)|autoreply|autoresponse|vacation|away from|on holiday|abwesen|ausser haus|absence|fuera de (?:la )?oficina|autoodpowied|automatyczna odpowied|nieobecno|réponse automatique|risposta automatica|不在`)
	challenge = regexp.MustCompile(`(?i)challenge|confirm (?:your|that you)|boxbe|spamarrest|verify (?:your|that you are)|tmda|approval (?:required|needed)|guest list|waiting list`)
)

// cutReturned cuts a notice before the returned message.
func cutReturned(s string) (notice, returned string) {
	at, begun := 0, false
	for line := range strings.Lines(s) {
		if begun {
			switch startOfReturned(strings.ToLower(line)) {
			case marker:
				return s[:at], s[at+len(line):]
			case field:
				return s[:at], s[at:]
			}
		}
		begun = begun || strings.TrimSpace(line) != ""
		at += len(line)
	}
	return s, ""
}

// What a line in lower case says about where the returned message begins.
const (
	notYet = iota
	marker // with the next line
	field  // with this line
)

func startOfReturned(line string) int {
	if strings.HasPrefix(line, "return-path: <") || strings.HasPrefix(line, "return-path:<") {
		return field
	}
	if rest, ok := strings.CutPrefix(line, "received:"); ok {
		rest = strings.TrimLeft(rest, " ")
		if strings.HasPrefix(rest, "from ") || strings.HasPrefix(rest, "by ") || strings.HasPrefix(rest, "(") {
			return field
		}
	}
	if title := strings.TrimLeft(line, "-_=*# >"); len(line)-len(title) >= 2 {
		for _, p := range returnedTitles {
			if strings.HasPrefix(title, p) {
				return marker
			}
		}
	}
	for _, p := range returnedPhrases {
		if strings.Contains(line, p) {
			return marker
		}
	}
	return notYet
}

// returnedTitles follow a rule of dashes or the like.
var returnedTitles = []string{
	"this is a copy", "original", "returned", "below this line", "enclosed", "forwarded", "undelivered", "unsent",
	"the body", "the header", "the first", "the original", "the message", "message header", "message text",
	"message follow", "copy of", "begin", "mensagem", "nachricht", "urspr\u00fcngliche", "header",
}

var returnedPhrases = []string{
	"message header follow", "message headers follow", "message text follow",
	"a copy of the message", "a copy of the original message", "copy of your message", "copy of the message",
	"original message follows", "original message headers", "original message is attached",
	"your message follows", "your original message follows", "your message is enclosed", "your original message is enclosed",
	"your message reads", "your original message reads", "text of message follows", "text of your message follows",
}

// kindOfText tells what a mail without a delivery status is.
func (p *parser) kindOfText() Kind {
	h := p.header
	subject := decodeWords(h["subject"])
	head := subject + "\n" + clip(p.notice, 4000)
	from := h["from"]
	daemon := daemonRE.MatchString(from) || h["return-path"] == "<>" || h["x-failed-recipients"] != ""
	auto := strings.ToLower(h["auto-submitted"])
	switch {
	case challenge.MatchString(from + subject), strings.Contains(strings.ToLower(p.text), "boxbe"):
		return KindChallenge
	case !daemon && (strings.HasPrefix(auto, "auto-replied") || h["x-autoreply"] != "" || h["x-autorespond"] != "" || autoRE.MatchString(subject)):
		return KindVacation
	case autoRE.MatchString(subject):
		return KindVacation
	case h["x-failed-recipients"] != "" && !delayRE.MatchString(head):
		return KindBounce
	case delayRE.MatchString(head) && (daemon || bounceRE.MatchString(head)):
		return KindDelayed
	case daemon && bounceRE.MatchString(head), bounceRE.MatchString(subject):
		return KindBounce
	case bounceRE.MatchString(clip(p.notice, 1500)) && p.ownAddressElsewhere():
		return KindBounce
	case strings.HasPrefix(auto, "auto-"):
		return KindVacation
	}
	return KindOther
}

// ownAddressElsewhere tells of a notice that speaks of an address.
func (p *parser) ownAddressElsewhere() bool { return addressRE.MatchString(p.notice) }

// recipientsOfText finds who a free-form notice is about. The first of these
// that names anybody counts: X-Failed-Recipients, lines that are an address or
// begin with one, RCPT TO, any foreign address, the returned message's To.
func (p *parser) recipientsOfText(kind Kind) []Recipient {
	action := "failed"
	if kind == KindDelayed {
		action = "delayed"
	}
	var found []string
	add := func(a string) {
		a = strings.Trim(a, ".'")
		if a == "" || len(found) >= maxRecipients {
			return
		}
		for _, f := range found {
			if strings.EqualFold(f, a) {
				return
			}
		}
		found = append(found, a)
	}
	for _, a := range addressRE.FindAllString(p.header["x-failed-recipients"], -1) {
		add(a)
	}
	for _, re := range recipientLines {
		if len(found) > 0 {
			break
		}
		for _, m := range re.FindAllStringSubmatch(p.notice, 4*maxRecipients) {
			if !p.foreign(m[1]) {
				continue
			}
			add(m[1])
		}
	}
	if len(found) == 0 {
		for _, a := range addressRE.FindAllString(p.notice, 4*maxRecipients) {
			if p.foreign(a) {
				add(a)
				break
			}
		}
	}
	if m := rcptTo.FindStringSubmatch(p.text); len(found) == 0 && m != nil { // in a transcript behind the cut
		add(m[1])
	}
	if to := addressRE.FindAllString(p.returned["to"], 2); len(found) == 0 && len(to) == 1 {
		add(to[0])
	}
	if len(found) == 0 { // the sender mailed itself
		add(addressRE.FindString(p.notice))
	}
	out := make([]Recipient, len(found))
	for i, a := range found {
		out[i] = Recipient{Address: a, Action: action, Reply: Reply{Text: p.textAbout(a, found)}}
	}
	return out
}

const addressPattern = `([^\s<>()\[\]:;,"]{1,128}@[A-Za-z0-9][A-Za-z0-9.-]{1,252})`

var rcptTo = regexp.MustCompile(`(?i)rcpt[ _]to: ?<?` + addressPattern)

var recipientLines = []*regexp.Regexp{
	regexp.MustCompile(`(?im)(?:final|original|actual)-recipient: *(?:rfc822;)? *<?` + addressPattern),
	regexp.MustCompile(`(?im)^[ \t>*•"'-]*<?` + addressPattern + `[>"']{0,2}[ \t]*(?:\(.*\)|\.\.\..*)?:?[ \t]*$`),
	regexp.MustCompile(`(?im)^[ \t>*"'-]*<?` + addressPattern + `[>"']{0,2}[ \t]*:`),
	regexp.MustCompile(`(?im)^[ \t]*` + addressPattern + `[ \t]`),
	regexp.MustCompile(`(?im)^[ \t>*-]*(?:error-for|recipients?|rcpt|to|addressed to|address|failed recipients?|intended recipient|undeliverable to|delivery failed|user)\b[^\n:]{0,30}: *[\['"]*(?:smtp:)?<?` + addressPattern),
	regexp.MustCompile(`(?im)^[ \t>*-]*<` + addressPattern + `>`),
	rcptTo,
	regexp.MustCompile(`(?i)(?:mail|message|delivered?|delivery|addressed|undeliverable|recipients?|address(?:es)?|user|account)\s+(?:to|for|is|was|the following)?:?\s*['"<(]*(?:smtp:)?` + addressPattern),
}

// foreign tells whether an address can be the recipient: neither the sender of
// the original nor a mail system.
func (p *parser) foreign(a string) bool {
	low := strings.ToLower(strings.Trim(a, ".'"))
	local, _, _ := strings.Cut(low, "@")
	if strings.Contains(local, "mailer-daemon") || local == "abuse" {
		return false
	}
	for _, s := range []string{p.header["to"], p.header["from"], p.header["message-id"], p.returned["return-path"], p.returned["from"], p.returned["message-id"]} {
		if strings.Contains(strings.ToLower(s), low) {
			return false
		}
	}
	return local != "postmaster" || strings.Contains(strings.ToLower(p.returned["to"]), low)
}

// textAbout gives what the notice says of one address: all of it when there is
// one, else from its mention to that of the next.
func (p *parser) textAbout(a string, all []string) string {
	text := p.notice
	if len(all) > 1 {
		if i := strings.Index(text, a); i >= 0 {
			text = text[i:]
			for _, other := range all {
				if j := strings.Index(text, other); other != a && j > 0 {
					text = text[:j]
				}
			}
		}
	}
	return clip(forJudge(text), maxText)
}

// forJudge makes one line of a notice, without what it quotes of the original
// message's header: nobody is judged by a subject.
func forJudge(text string) string { return squeeze(quotedFieldRE.ReplaceAllString(text, "")) }

var quotedFieldRE = regexp.MustCompile(`(?im)^[ \t>]*(?:the message )?(?:subject|sent|date|to|cc|from|with subject|message-id|x-[a-z-]+)(?: was)?:.*$`)

// address gives the first mail address in s, or "".
func address(s string) string { return addressRE.FindString(s) }
