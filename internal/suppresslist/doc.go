// Package suppresslist reads suppression lists as other services and mail
// programs export them, and as we do.
//
// [NewReader] finds out from the first bytes what it is given; nobody has to
// say it. [Reader.Next] then gives one [Entry] after the other, in memory one
// at a time however long the list is. A line that makes no sense is a
// [*LineError] with its number, and reading goes on behind it.
//
// What is understood:
//
//   - CSV with a header, its columns in any order, separated by comma,
//     semicolon or tab: names such as email, Email Address, EmailAddress,
//     address or recipient; type, reason or SuppressionReason; error, text or
//     smtp_error; created, created_at or LastUpdateTime; expires.
//   - CSV without a header: an address, and behind it a reason if there is one.
//   - JSON: an array of objects, an object that holds such arrays, or one
//     object after the other (NDJSON).
//
// By their fields it knows the exports of SendPost, Postmark, Mailgun, Amazon
// SES and SendGrid, which is what tells reasons that are not written down: a
// Mailgun list with an error is one of bounces, a SendGrid list with an IP one
// of complaints. Where nothing tells, the caller's own word counts.
//
// A list is hostile input: an entry has at most [MaxEntry] bytes, and addresses
// are for the caller to check.
//
// It stands on the first floor.
package suppresslist
