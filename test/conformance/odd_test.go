package conformance

import (
	"strings"

	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

func rcpt(reply string) func(string) string { return func(string) string { return reply } }

func final(reply string) func(smtptest.Envelope, []byte) string {
	return func(smtptest.Envelope, []byte) string { return reply }
}

// text4K makes a line of 4,096 bytes with its code, the longest we take.
var text4K = strings.Repeat("x", 4096-len("250 "))

// oddReplies are legal, or nearly so.
func oddReplies() []odd {
	one := smtptest.Multiline
	return []odd{
		{name: "banner_multiline", behaviour: "banner of several lines", script: smtptest.Script{Banner: one(220, "mx.example ESMTP", "no spam", "be nice")}, fate: sent},
		{name: "banner_slow", behaviour: "banner and replies that arrive byte by byte", script: smtptest.Script{Banner: one(220, "mx.example", "one moment")}, slow: true, fate: sent},
		{name: "rcpt_multiline", behaviour: "refusal of several lines at RCPT", script: smtptest.Script{Rcpt: rcpt(one(550, "5.1.1 no", "5.1.1 such user"))}, stage: smtp.StageRcpt, class: smtp.ClassRcptFailed, code: 550, fate: drop},
		{name: "final_multiline", behaviour: "acceptance of several lines", script: smtptest.Script{Final: final(one(250, "2.0.0 thank", "2.0.0 you"))}, fate: sent},
		{name: "reply_4kb", behaviour: "replies of 4 KB in one line, and of 40 KB in ten", script: smtptest.Script{
			Banner: "220 " + text4K, Mail: "250 " + text4K, Final: final(one(250, text4K, text4K, text4K, text4K, text4K, text4K, text4K, text4K, text4K, text4K)),
		}, fate: sent},
		{name: "reply_over_4kb", behaviour: "line of more than 4 KB at MAIL", script: smtptest.Script{Mail: "250 x" + text4K}, stage: smtp.StageMail, class: smtp.ClassProtocol, fate: retry},
		{name: "reply_over_64kb", behaviour: "reply of more than 64 KB after the final dot", script: smtptest.Script{Final: final(one(250, strings.Split(strings.Repeat(text4K+"\n", 17), "\n")...))}, stage: smtp.StageFinal, class: smtp.ClassProtocol, fate: unknown},
		{name: "banner_554", behaviour: "554 in the banner", script: smtptest.Script{Banner: "554 5.7.1 not you"}, stage: smtp.StageBanner, class: smtp.ClassConnectionRefused, code: 554, fate: provider, hint: "refuses connections"},
		{name: "auth_454", behaviour: "454 to AUTH", script: smtptest.Script{AuthReply: "454 4.7.0 later"}, login: true, stage: smtp.StageAuth, class: smtp.ClassAuthRejected, code: 454, fate: provider},
		{name: "auth_530", behaviour: "530 to MAIL, login demanded", script: smtptest.Script{Mail: "530 5.7.0 Authentication required"}, stage: smtp.StageMail, class: smtp.ClassMailFailed, code: 530, fate: provider, hint: "user name and password"},
		{name: "auth_plain_asks_again", behaviour: "initial response of AUTH PLAIN overlooked", script: smtptest.Script{PlainChallenge: true}, login: true, fate: sent},
		{name: "auth_old_form", behaviour: "AUTH=LOGIN, the form before RFC 2554", script: smtptest.Script{AuthLine: "AUTH=LOGIN"}, login: true, fate: sent},
		{name: "auth_unknown_only", behaviour: "AUTH CRAM-MD5 only", script: smtptest.Script{AuthMechs: []string{"CRAM-MD5"}}, login: true, stage: smtp.StageAuth, class: smtp.ClassAuthUnsupported, fate: provider, hint: "PLAIN, LOGIN"},
		{name: "data_451", behaviour: "451 to DATA after the recipient was accepted", script: smtptest.Script{Data: "451 4.3.0 later"}, stage: smtp.StageData, class: smtp.ClassDataFailed, code: 451, fate: retry},
		{name: "final_452", behaviour: "452 after the final dot", script: smtptest.Script{Final: final("452 4.3.1 full")}, stage: smtp.StageFinal, class: smtp.ClassDataFailed, code: 452, fate: retry},
	}
}

// odd421 closes the session with 421 in each phase.
func odd421() []odd {
	const busy = "421 4.3.2 closing"
	return []odd{
		{name: "421_banner", behaviour: "421 in the banner", script: smtptest.Script{Banner: busy}, stage: smtp.StageBanner, class: smtp.ClassConnectionRefused, code: 421, fate: provider},
		{name: "421_ehlo", behaviour: "421 to EHLO", script: smtptest.Script{EHLOReply: busy}, stage: smtp.StageEHLO, class: smtp.ClassProtocol, code: 421, fate: provider},
		{name: "421_starttls", behaviour: "421 to STARTTLS", script: smtptest.Script{StartTLSReply: busy}, startTLS: true, stage: smtp.StageStartTLS, class: smtp.ClassTLSFailed, code: 421, fate: provider},
		{name: "421_auth", behaviour: "421 to AUTH", script: smtptest.Script{AuthReply: busy}, login: true, stage: smtp.StageAuth, class: smtp.ClassAuthRejected, code: 421, fate: provider},
		{name: "421_mail", behaviour: "421 to MAIL on a new session", script: smtptest.Script{Mail: busy}, stage: smtp.StageMail, class: smtp.ClassMailFailed, code: 421, fate: retry},
		{name: "421_idle", behaviour: "421 unasked, after a message", script: smtptest.Script{Final: final("250 ok\r\n421 4.4.2 idle too long"), CloseAfter: 1}, before: 1, fate: sent, sessions: 2},
		{name: "421_rset", behaviour: "421 to RSET after a refused recipient", script: smtptest.Script{Rset: busy}, prepare: true, fate: sent, sessions: 2},
		{name: "421_rcpt", behaviour: "421 to RCPT", script: smtptest.Script{Rcpt: rcpt(busy)}, stage: smtp.StageRcpt, class: smtp.ClassRcptFailed, code: 421, fate: retry},
		{name: "421_data", behaviour: "421 to DATA", script: smtptest.Script{Data: busy}, stage: smtp.StageData, class: smtp.ClassDataFailed, code: 421, fate: retry},
		{name: "421_final", behaviour: "421 after the final dot", script: smtptest.Script{Final: final(busy)}, stage: smtp.StageFinal, class: smtp.ClassDataFailed, code: 421, fate: retry},
		{name: "421_quit", behaviour: "421 to QUIT", script: smtptest.Script{Quit: busy}, fate: sent},
	}
}

// oddCuts closes the connection without a word in each phase.
func oddCuts() []odd {
	cut := func(at string) smtptest.Script { return smtptest.Script{CutAt: at} }
	return []odd{
		{name: "cut_banner", behaviour: "connection cut before the banner", script: cut("banner"), stage: smtp.StageBanner, class: smtp.ClassConnectionRefused, fate: provider},
		{name: "cut_ehlo", behaviour: "connection cut after EHLO", script: cut("ehlo"), stage: smtp.StageEHLO, class: smtp.ClassProtocol, fate: provider},
		{name: "cut_starttls", behaviour: "connection cut after STARTTLS", script: cut("starttls"), startTLS: true, stage: smtp.StageStartTLS, class: smtp.ClassTLSFailed, fate: provider},
		{name: "cut_tls", behaviour: "connection cut in the handshake", script: cut("tls"), startTLS: true, stage: smtp.StageTLS, class: smtp.ClassTLSFailed, fate: provider, hint: "TLS 1.2"},
		{name: "cut_auth", behaviour: "connection cut after AUTH", script: cut("auth"), login: true, stage: smtp.StageAuth, class: smtp.ClassAuthRejected, fate: provider},
		{name: "cut_mail", behaviour: "connection cut after MAIL on a new session", script: cut("mail"), stage: smtp.StageMail, class: smtp.ClassMailFailed, fate: retry},
		{name: "cut_rset", behaviour: "connection cut after RSET", script: cut("rset"), prepare: true, fate: sent, sessions: 2},
		{name: "cut_rcpt", behaviour: "connection cut after RCPT", script: cut("rcpt"), stage: smtp.StageRcpt, class: smtp.ClassRcptFailed, fate: retry},
		{name: "cut_data", behaviour: "connection cut after DATA", script: cut("data"), stage: smtp.StageData, class: smtp.ClassDataFailed, fate: retry},
		{name: "cut_body", behaviour: "connection cut in the body (16 MB)", script: cut("body"), large: true, stage: smtp.StageBody, class: smtp.ClassDataFailed, fate: retry},
		{name: "cut_final", behaviour: "connection cut after the final dot", script: cut("final"), stage: smtp.StageFinal, class: smtp.ClassDataFailed, fate: unknown},
		{name: "cut_quit", behaviour: "connection cut after QUIT", script: cut("quit"), fate: sent},
	}
}

// oddHangs stops answering in each phase.
func oddHangs() []odd {
	hang := func(at string) smtptest.Script { return smtptest.Script{HangAt: at} }
	return []odd{
		{name: "hang_banner", behaviour: "no banner", script: hang("banner"), stage: smtp.StageBanner, class: smtp.ClassTimeout, fate: provider, hint: "smtpSecurity tls"},
		{name: "hang_ehlo", behaviour: "no answer to EHLO", script: hang("ehlo"), stage: smtp.StageEHLO, class: smtp.ClassTimeout, fate: provider},
		{name: "hang_tls", behaviour: "no answer in the handshake", script: hang("tls"), startTLS: true, stage: smtp.StageTLS, class: smtp.ClassTimeout, fate: provider},
		{name: "hang_auth", behaviour: "no answer to AUTH", script: hang("auth"), login: true, stage: smtp.StageAuth, class: smtp.ClassTimeout, fate: provider},
		{name: "hang_mail", behaviour: "no answer to MAIL", script: hang("mail"), stage: smtp.StageMail, class: smtp.ClassTimeout, fate: retry},
		{name: "hang_rcpt", behaviour: "no answer to RCPT", script: hang("rcpt"), stage: smtp.StageRcpt, class: smtp.ClassTimeout, fate: retry},
		{name: "hang_data", behaviour: "no answer to DATA", script: hang("data"), stage: smtp.StageData, class: smtp.ClassTimeout, fate: retry},
		{name: "hang_final", behaviour: "no answer to the final dot", script: hang("final"), stage: smtp.StageFinal, class: smtp.ClassTimeout, fate: unknown},
	}
}

// oddGarbage is not SMTP, or not the answer to the question.
func oddGarbage() []odd {
	return []odd{
		{name: "garbage_http", behaviour: "an HTTP server", script: smtptest.Script{Banner: "HTTP/1.1 400 Bad Request"}, stage: smtp.StageBanner, class: smtp.ClassProtocol, fate: provider, hint: "did not speak SMTP"},
		{name: "garbage_tls", behaviour: "a port that expects TLS from the first byte, met without", script: smtptest.Script{Banner: "\x15\x03\x01\x00\x02\x02\x0a"}, stage: smtp.StageBanner, class: smtp.ClassProtocol, fate: provider, hint: "TLS from the first byte"},
		{name: "garbage_ehlo", behaviour: "garbage to EHLO", script: smtptest.Script{EHLOReply: "\x00\xff\x1b[2J"}, stage: smtp.StageEHLO, class: smtp.ClassProtocol, fate: provider},
		{name: "garbage_mail", behaviour: "garbage to MAIL", script: smtptest.Script{Mail: "what?"}, stage: smtp.StageMail, class: smtp.ClassProtocol, fate: retry},
		{name: "garbage_codes", behaviour: "a reply whose lines have different codes", script: smtptest.Script{Rcpt: rcpt("250-a\r\n550 b")}, stage: smtp.StageRcpt, class: smtp.ClassProtocol, fate: retry},
		{name: "garbage_final", behaviour: "garbage after the final dot", script: smtptest.Script{Final: final("\x00\x01\x02")}, stage: smtp.StageFinal, class: smtp.ClassProtocol, fate: unknown},
		{name: "final_354", behaviour: "354 after the final dot", script: smtptest.Script{Final: final("354 more")}, stage: smtp.StageFinal, class: smtp.ClassProtocol, code: 354, fate: unknown},
		{name: "data_250", behaviour: "250 instead of 354", script: smtptest.Script{Data: "250 ok"}, stage: smtp.StageData, class: smtp.ClassProtocol, code: 250, fate: retry},
		{name: "data_then_250", behaviour: "250 right behind 354", script: smtptest.Script{Data: "354 go\r\n250 queued already"}, stage: smtp.StageData, class: smtp.ClassProtocol, fate: retry},
		{name: "starttls_injection", behaviour: "bytes between the answer to STARTTLS and the handshake (CVE-2011-0411)", script: smtptest.Script{StartTLSExtra: "250 injected\r\n"}, startTLS: true, stage: smtp.StageStartTLS, class: smtp.ClassProtocol, fate: provider},
	}
}

// oddSessions break RSET, pipelining, or the session itself.
func oddSessions() []odd {
	return []odd{
		{name: "rset_refused", behaviour: "RSET refused after a refused recipient", script: smtptest.Script{Rset: "502 5.5.1 no RSET here"}, prepare: true, fate: sent, sessions: 2},
		{name: "idle_cut", behaviour: "session cut after each message", script: smtptest.Script{CloseAfter: 1}, before: 1, fate: sent, sessions: 2},
		{name: "cut_rcpt_reused", behaviour: "connection cut after RCPT on a session that carried a message", script: smtptest.Script{CutAt: "rcpt", CutAfter: 1}, before: 1, stage: smtp.StageRcpt, class: smtp.ClassRcptFailed, fate: retry},
		{name: "pipelining_late", behaviour: "PIPELINING offered, all answers held back until DATA", script: smtptest.Script{LateReplies: true}, before: 1, fate: sent},
		{name: "pipelining_354", behaviour: "354 although the recipient was refused", script: smtptest.Script{Rcpt: rcpt("550 5.1.1 no"), DataAnyway: true}, stage: smtp.StageRcpt, class: smtp.ClassRcptFailed, code: 550, fate: drop},
		{name: "pipelining_broken", behaviour: "PIPELINING offered, commands behind the first lost", script: smtptest.Script{LosePipelined: true}, stage: smtp.StageRcpt, class: smtp.ClassTimeout, fate: retry},
	}
}
