// Package torture kills the real programs again and again while mail flows, and
// counts afterwards what was lost, what came twice and whether the statistics
// are right. The drills:
//
//	server    kill -9 of waypost on SQLite while it accepts and relays
//	agent     kill -9 of waypost-agent while a log grows
//	nodes     kill -9 of one of three nodes on one PostgreSQL
//	restarts  crash or orderly stop of that PostgreSQL under load
//	disk      a full disk, fsync that fails, and a disk that cannot be written
//	hostile   strangers at all doors at once: sessions of SMTP that say nothing,
//	          too much or the wrong thing, and clients of HTTP that send and read
//	          a byte at a time or not at all
//
// The programs are built and started as customers do; the mail server that they
// relay through is the simulator's, in the test's process, with a log in
// Postfix's words that the real agent follows. Disks are made full in a tmpfs of
// their own, and broken by strace, which puts errors into the system calls of
// the running server; where either is not to be had, that drill skips and says
// so.
//
// What is promised and judged: no message that was answered with 200 is lost,
// nor an event or suppression of one; no event is stored twice; the counters
// equal a recount of the events; a message is relayed twice only when a kill cut
// it between the end of its data and the commit of its outcome, so never more
// than were in flight; no provider relays more in an hour than its limit; and a
// server whose disk is bad answers 503, goes on by itself once it is good again,
// and leaves a whole database. However many strangers are at its doors, mail
// flows, a genuine report gets in, and the server stays below 256 MiB. How long
// anything took is printed and never judged.
//
// As part of the tests each drill runs a round or two. `make torture` gives the
// counts: make torture SERVER=200 AGENT=200 NODES=50 RESTARTS=20 DISK=20
// HOSTILE=10000.
//
// A tour by file: world_test.go builds a world of programs and ends it;
// program_test.go starts and kills one; load_test.go sends; audit_test.go counts;
// server_test.go, nodes_test.go, disk_test.go and hostile_test.go are the drills.
// It is an attic: it may import whatever of the house helps.
package torture
