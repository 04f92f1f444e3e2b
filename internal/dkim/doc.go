// Package dkim signs mail with DKIM (RFC 6376, Ed25519 by RFC 8463), makes the
// keys, prints the DNS record that belongs to a key and judges what is found
// in DNS (D-26, sendpost.md d.1 and d.2).
//
// # Signing
//
// [Sign] takes a complete message with CRLF line ends and returns it with one
// DKIM-Signature field per [Signer] in front; [Fields] gives these fields alone,
// for a message in pieces that nobody puts together. In order: the line ends
// are checked, the header is cut into fields, the relaxed body is hashed once,
// the signed fields are canonicalised once, and each signer then adds its own
// field to that and signs the SHA-256 of the whole. Nothing is read from the
// clock or from a random source: the same message, keys and time give the same
// bytes.
//
// Signatures are c=relaxed/relaxed without l= and without x=. From, To, Cc,
// Subject, Date, Message-ID, Reply-To, MIME-Version, Content-Type and the two
// List-Unsubscribe fields are oversigned: named once more than present, so
// that adding another one breaks the signature (RFC 6376 section 8.15).
// Further fields of RFC 6376 section 5.4.1 are signed when present.
//
// A message that cannot be signed safely is refused with an error that says
// which rule it broke; the caller decides whether to send it unsigned.
// Signing costs one private-key operation per signer (about 0.9 ms for
// RSA-2048) and a few microseconds for everything else; the benchmarks
// compare both with go-msgauth. The method sign in key.go is the only use of
// a private key.
//
// # Keys and records
//
// [Key] never shows its private part in any format verb or log; [Key.Marshal]
// is the one way out, for sealing at rest. [CheckRecord] tells a missing,
// foreign, revoked, doubled or damaged record apart by the errors in
// record.go, worded for the operator who has to repair the zone.
//
// The package imports the standard library only. All functions may be called
// concurrently.
package dkim
