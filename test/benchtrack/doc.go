// Package benchtrack measures tracking requests on one core: a server process
// of its own, limited to one, with opens and clicks that end as events in
// SQLite, beside a bare net/http handler that answers the same bytes.
//
//	go test -run '^$' -bench . ./test/benchtrack
//
// It reports requests for each second of processor time that the server used,
// storage included, the 99th percentile of the answers in milliseconds, and how
// long after the last answer the last event was committed.
package benchtrack
