// Package submission takes mail over SMTP (RFC 6409): programs that speak no
// HTTP hand it in, and from there on it is what a send call would have made of
// it. The same checks, the same queue, the same events.
//
// The tour: server.go listens, on ports with STARTTLS and on ports that are TLS
// from the first byte, behind a gate that bounds connections. session.go is one
// conversation; auth.go finds the credential, makes guessing slow and locks out
// addresses that guess; rate.go counts what a credential hands in. message.go
// reads a mail into a [queue.Submission]: its header in header.go, its parts in
// parts.go. certs.go reads certificates again when their files change.
//
// The message is made anew by the composer, since links, pixel and signature
// are ours. What that cannot keep as it was is refused with 554 and a reason:
// mail that is signed or encrypted by its sender (S/MIME, OpenPGP), mails inside
// mails, parts that a mail program would show in another order. Nothing is left
// out silently but what the documents say: fields that only mail servers write,
// and those that the product sets.
package submission
