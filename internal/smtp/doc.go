// Package smtp is Waypost's side of the wire towards a customer's smarthost: a
// client that pipelines and keeps sessions, a pool of such sessions, and the
// probe that tries a whole transaction before a provider is created.
//
// # Order of things
//
// [Dial] resolves the host, refuses addresses that are not public (guard.go),
// connects to the very address it checked, reads the banner, says EHLO,
// negotiates TLS, says EHLO again and authenticates. [Client.Send] then runs one
// transaction for one recipient: MAIL, RCPT and DATA in one write when the
// server offers PIPELINING (RFC 2920), one by one when it does not, and the body
// as soon as 354 is read. The session stays open for the next message. A
// transaction the server left open is closed by an RSET that travels with the
// next envelope and costs no round trip. [Pool] hands sessions out, retires them
// and retries once when a session turns out to have been closed while idle.
// It stops pipelining for a while where a group of commands was left without all
// of its answers. [Probe] is Dial, Send and QUIT with a step list, a class and a hint.
//
// # What fails, and how
//
// Every failure is an [*Error]. It says in which [Stage] it happened, carries the
// server's [Reply] when there was one, and knows whether repeating can help
// (Permanent), whether it speaks of the provider and not of the message
// (Session), and whether the server may hold the message although we never heard
// so (Ambiguous: the connection died after the final dot was written and before
// its reply was read). An error with both a Reply and an Err was made here,
// without asking the server: a message over the SIZE limit, an address that
// cannot be written into a command.
//
// # What it promises
//
// CR, LF, NUL, blanks and angle brackets never reach a command; a body with a
// bare CR or LF is refused. Reply text is hostile: it is bounded (4 KB a line,
// 64 KB a reply) and stripped of control characters. Credentials are sent only
// over verified TLS unless the configuration permits otherwise, and never appear
// in errors, steps or transcripts. Cancelling a context closes the connection.
//
// The package knows no customer and imports nothing of ours. Package smtptest
// holds the scripted server of its tests.
package smtp
