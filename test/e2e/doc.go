// Package e2e drives the two binaries from outside, the way customers do: the
// HTTP API at one end, a recipient's mail server at the other, and between
// them a real Postfix whose log a real rsyslog writes for the real agent.
//
//	API -> waypost -> Postfix -> sink (answers by the recipient's local part)
//	          ^          |
//	          |        rsyslog -> log file
//	          +--- waypost-agent <--+
//
// Every program is started by the tests on free loopback ports in a temporary
// directory and stopped by them, also when they fail. A program that is absent
// skips the tests that need it, with a line that names its package.
//
// A tour by file: build.go makes the binaries; process.go starts and ends
// programs; server.go and agent.go run ours; api.go is a small client with wire
// types of its own; dns.go serves the sender domain's records, by dnsmasq or by
// a server in the test; postfix.go, rsyslog.go and sink.go are the mail system;
// verify.go asks OpenDKIM and dkimpy about signatures; hook.go receives
// webhooks; tally.go recounts statistics; bed.go puts all of it together;
// outcome.go says what each kind of recipient must lead to. The tests are in the
// files whose names end in _test.go.
//
// Nothing waits for a fixed time: conditions are polled with deadlines that a
// busy machine keeps too. The tests of the mail system run as root only,
// because Postfix does.
//
// It is an attic: it may import whatever of the house helps.
package e2e
