// Package conformance holds Waypost's SMTP client against real servers (Postfix,
// Exim and OpenSMTPD from Debian) and against a scripted one that misbehaves, and
// keeps doc/conformance.md: one row per server and behaviour.
//
// The rows in matrix_test.go are the subtests and the table at once: a subtest
// exists because its row does, and TestTable fails when the document says
// anything else. After a change of the rows, write the document with
//
//	go test ./test/conformance -run TestTable -update
//
// A tour by file: matrix_test.go has the rows of all servers and the table;
// behaviours_test.go is what the three real servers have in common;
// postfix_test.go, exim_test.go and opensmtpd_test.go start one server each, with
// a port for every variant, and hold what only it does; server_test.go is what a
// test does with one; scripted_test.go plays the misbehaving one by the scripts in
// odd_test.go; chroot_test.go unpacks Debian packages that cannot be
// installed beside Postfix and makes a small root directory for their programs;
// process_test.go starts and ends programs.
//
// Every server is started on free loopback ports in a temporary directory,
// relays what it accepts to a sink in the test, which shows the bytes that
// arrived, and is ended with the test. A server that is absent, or that this user
// may not start (all three need root), skips its rows with a line that says so.
// Nothing waits for a fixed time.
//
// It is an attic: it may import whatever of the house helps.
package conformance
