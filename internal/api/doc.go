// Package api is the public HTTP API: what customers' programs and agents
// call. Wire types live here and nowhere else; every handler turns a request
// into the words of package waypost, calls one function below, and turns the
// answer back.
//
// A tour by file: api.go builds the handler and its middle layers; auth.go
// says who calls; errors.go is the one error shape (D-2); input.go reads
// bodies; then one file a resource: email.go, provider.go, probe.go, pool.go,
// domain.go (domain_records.go and domain_keys.go are our own beside it),
// health.go, message.go, timeline.go, and report.go for the agent.
//
// # Promises
//
//   - Every collection answers with and without a trailing slash (D-3).
//   - Every answer is application/json and echoes the contract it was written
//     in (D-1): contract.go.
//   - An error names the field and what to do next, and never repeats a body:
//     bodies hold passwords.
//   - 503 with Retry-After when storage cannot accept: nothing was stored.
//
// It stands on the fourth floor.
package api
