// Package compose makes the message of one recipient: from content and
// variables to signed bytes (D-23).
//
// # Order of work
//
// [Prepare] compiles the templates of a content once, checks the customer's
// header fields ([CheckHeaders]) and encodes what is the same for every
// recipient: attachments, the AMP part, From, Reply-To and the customer's own
// fields. [Prepared.Message] then makes one message, in the order of D-23:
// merge, pre-header, tracking, header, MIME, DKIM. The result is a [Signed],
// whose bytes nothing changes after the signature. It is in pieces, so that large
// attachments are in memory once for all messages of a content.
//
// The same content, message, options and time give the same bytes: nothing is
// read from a clock or a random source. The one exception is an attachment
// whose type neither the request nor the table in types.go knows: the host's
// MIME table is asked then.
//
// # Tracking
//
// A document is copied, never parsed and written anew: the tokenizer of
// golang.org/x/net/html finds the targets of a and area tags, the body's start
// and its last end, and every other byte stays as it is. A link is rewritten
// when its target is http or https with a host; not in comments (Outlook's
// conditions are comments), scripts, styles, titles and text areas, not in a tag
// with data-notrack, not when it is a tracking URL already, has more than
// track.MaxURL bytes or control characters, and not beyond the first 2,000 of a
// part. References in the target are decoded first, so that the redirect goes
// where the link went. In the text part URLs are found as mail programs find
// them. Links are numbered from 1 in each part.
//
// # What comes out
//
// An RFC 5322 message with CRLF line ends, no line above 998 octets, and MIME
// bodies of lines of at most 76: 7bit for short lines of plain ASCII, else
// quoted-printable or base64, whichever is smaller. Shapes:
//
//	text                                 text/plain
//	html                                 text/html
//	text, AMP and html                   multipart/alternative
//	html with parts that it shows        multipart/related around the html
//	any of these with files              multipart/mixed around it
//
// Every boundary begins with "=_" and holds the message's UUID. No part can
// contain it: base64 has no underscore, quoted-printable no "=_", and a text
// with "--=_" in it is not sent as 7bit.
//
// Header text beyond ASCII is encoded (RFC 2047, RFC 2231); domains are
// written as A-labels (RFC 5890). Raw UTF-8 appears only in the mailbox of an
// address whose local part is not ASCII: [Signed.EightBit] tells, and the
// message then needs a relay with SMTPUTF8 (RFC 6531). Bcc is never written.
//
// # Failure
//
// Prepare answers a [*TemplateError] or a [*HeaderError], which the customer
// must correct. Message fails on variables that are not a JSON object, on
// addresses that [waypost.CheckEmail] refuses, when a template exceeds its
// budget (merge.ErrBudget), and when DKIM cannot sign. CR, LF and NUL never
// reach a header field, whatever a template or a name holds.
//
// It may import the root, internal/dkim, internal/compose/merge and
// internal/track.
package compose
