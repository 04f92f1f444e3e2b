// Package benchtrack measures tracking requests on one core: a server process
// of its own that has one processor, with opens and clicks that end as events in
// SQLite, beside a bare net/http handler that answers the same bytes.
//
//	go test -run '^$' -bench . -benchtime 60000x ./test/benchtrack
//
// The closed loop ("saturated") asks as fast as it is answered: what is measured
// is how much a core can do, and its times are those of a server that is full.
// The open loop ("at-15000") sends so many a second, come what may.
//
// It reports requests for each second of processor time that the server used,
// storage included, and for each second; the median and the 99th percentile of
// the answers in milliseconds; and how long after the last answer the last event
// was committed. The bare handler beside it tells how much of that is the
// machine's.
package benchtrack
