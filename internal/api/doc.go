// Package api is the public HTTP API: what customers' programs and agents
// call. Wire types live here and nowhere else; every handler turns a request
// into the words of package waypost, calls one function below, and turns the
// answer back.
//
// A tour by file: api.go builds the handler and its middle layers; contract.go
// writes an answer in the wire contract asked for (D-1); auth.go says who calls,
// scope.go, throttle.go and usage.go what a key may do and when it did;
// errors.go is the one error shape (D-2); input.go, body.go and strict.go read bodies, room.go bounds them,
// cursor.go goes through lists. Then one file a resource: email.go
// with email_check.go, email_input.go, preview.go and idempotency.go, template.go,
// suppression.go with its entries and files, domain.go,
// provider.go, probe.go, pool.go, ip.go, queue.go, subaccount.go, key.go,
// message.go, event.go, listing.go, export.go, timeline.go, stat.go,
// breakdown.go, code.go, bounce.go, audit.go, and report.go for the agent. reference.go
// makes the page for readers from the document for machines.
//
// # Promises
//
//   - Every collection answers with and without a trailing slash (D-3).
//   - Every answer is application/json and echoes the contract it was written
//     in (D-1): contract.go.
//   - An error names the field and what to do next, and never repeats a body:
//     bodies hold passwords.
//   - A key sees its own account alone, a sub-account's key its sub-account
//     alone; what is another's answers as what is not there.
//   - 503 with Retry-After when storage cannot accept: nothing was stored.
//
// It stands on the fourth floor.
package api
