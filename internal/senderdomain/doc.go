// Package senderdomain asks a customer's domain for DNS records, checks that
// they are there, and keeps checking (D-29, D-30; sendpost.md, d.2).
//
// # Records
//
// [Records] lists what the owner of a domain must publish: the DKIM key, the
// return path, the tracking host and a DMARC policy. [CheckName] brings a
// domain into the one form under which it is stored.
//
// # One check
//
// [Checker.Check] looks up every record of a domain at once through the
// [Resolver] and writes down what it found:
//
//   - dkim: one TXT record with the same public key, also behind a CNAME.
//   - returnPath: a CNAME that leads to the bounce host, directly or over
//     others; or an MX that names the bounce host (the variant of D-29).
//   - track: a CNAME that leads to the tracking host.
//   - dmarc: one valid policy, whatever it says.
//
// A record that is missing or wrong is a failed check. A look-up that came to
// no end (timeout, SERVFAIL) decides nothing: it leaves a Failure text, and
// the record as it was, so that an outage of the resolver withdraws nothing.
// A verified record is withdrawn after three failed checks in a row. Each
// Failure says what was found, what was expected and what to do.
//
// The DKIM record is compared with the value that the domain was told to
// publish, so that checking never needs a private key.
//
// # The schedule
//
// [Checker.Run] takes the domains that are due from the store, checks a few at
// a time and saves the result; [NextCheck] says when a domain is due again.
// It returns nil after its context ends; storage errors are logged and tried
// again.
//
// It may import the root, internal/store and internal/dkim.
package senderdomain
